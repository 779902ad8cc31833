// out = f(factor·x), out = a + b.
// Constants: FN (an activation), SPREAD (bool: b is one row per batch).
struct Shape {
  begin: u32,
  end: u32,
  aOrigin: u32,
  bOrigin: u32,
  outOrigin: u32,
  n4: u32, // words of a row
  wordsPerBatch: u32,
  factor: f32,
}

@group(0) @binding(0) var<uniform> u: Shape;
@group(0) @binding(1) var<storage, read_write> a: array<Word>;
@group(0) @binding(2) var<storage, read_write> b: array<Word>;
@group(0) @binding(3) var<storage, read_write> out: array<Word>;

@compute @workgroup_size(THREADS)
fn activation(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = u.begin + wordIndex(group, groups, thread);
  if (i < u.end) {
    out[i - u.outOrigin] = pack(activate(FN, u.factor * unpack(a[i - u.aOrigin])));
  }
}

@compute @workgroup_size(THREADS)
fn add(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = u.begin + wordIndex(group, groups, thread);
  if (i < u.end) {
    var at = i;
    if (SPREAD) {
      at = i / u.wordsPerBatch * u.n4 + i % u.n4;
    }
    out[i - u.outOrigin] = pack(unpack(a[i - u.aOrigin]) + unpack(b[at - u.bOrigin]));
  }
}
