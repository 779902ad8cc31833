// Copies rows whose channels come in groups into rows of wider or narrower groups, with zeros where
// a group grew: heads whose width is no multiple of 4, there and back. Single channels are read,
// because groups need not start at a word.
struct Shape {
  words: u32, // of the result
  from4: u32, // words of a row
  to4: u32,
  fromGroup: u32, // channels of a group
  toGroup: u32,
  groups: u32,
}

@group(0) @binding(0) var<uniform> u: Shape;
@group(0) @binding(1) var<storage, read_write> x: array<Word>;
@group(0) @binding(2) var<storage, read_write> out: array<Word>;

fn channel(row: u32, c: u32) -> f32 {
  let group = c / u.toGroup;
  let within = c % u.toGroup;
  if (group >= u.groups || within >= u.fromGroup) {
    return 0.0;
  }
  let source = group * u.fromGroup + within;
  return unpack(x[row * u.from4 + source / 4u])[source % 4u];
}

@compute @workgroup_size(THREADS)
fn regroup(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = wordIndex(group, groups, thread);
  if (i >= u.words) {
    return;
  }
  let row = i / u.to4;
  let c = 4u * (i % u.to4);
  out[i] = pack(vec4f(channel(row, c), channel(row, c + 1u), channel(row, c + 2u), channel(row, c + 3u)));
}
