// First half of a row times gelu of the second half, where no matrix product carries it. Halves of
// odd width do not start at a word, so channels are read one by one.
struct Shape {
  begin: u32,
  end: u32,
  n4: u32, // words of a row of the result, and of x
  x4: u32,
  channels: u32, // of the result
}

@group(0) @binding(0) var<uniform> u: Shape;
@group(0) @binding(1) var<storage, read_write> x: array<Word>;
@group(0) @binding(2) var<storage, read_write> out: array<Word>;

fn channels(row: u32, c: vec4u) -> vec4f {
  let at = row * u.x4 + c / 4u;
  return vec4f(
    unpack(x[at.x])[c.x % 4u],
    unpack(x[at.y])[c.y % 4u],
    unpack(x[at.z])[c.z % 4u],
    unpack(x[at.w])[c.w % 4u],
  );
}

@compute @workgroup_size(THREADS)
fn geglu(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = u.begin + wordIndex(group, groups, thread);
  if (i >= u.end) {
    return;
  }
  let row = i / u.n4;
  let c = 4u * (i % u.n4) + vec4u(0u, 1u, 2u, 3u);
  let inside = c < vec4u(u.channels);
  let at = min(c, vec4u(u.channels - 1u));
  let v = channels(row, at) * gelu(channels(row, at + u.channels));
  out[i] = pack(select(vec4f(0.0), v, inside));
}
