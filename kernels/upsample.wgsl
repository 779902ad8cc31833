// Nearest neighbour, where no convolution reads through it: source = floor(i · in / out).
struct Shape {
  begin: u32,
  end: u32,
  n4: u32,
  height: u32,
  width: u32,
  outHeight: u32,
  outWidth: u32,
}

@group(0) @binding(0) var<uniform> u: Shape;
@group(0) @binding(1) var<storage, read_write> x: array<Word>;
@group(0) @binding(2) var<storage, read_write> out: array<Word>;

@compute @workgroup_size(THREADS)
fn upsample(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = u.begin + wordIndex(group, groups, thread);
  if (i >= u.end) {
    return;
  }
  let pixel = i / u.n4;
  let row = pixel / u.outWidth;
  let sx = pixel % u.outWidth * u.width / u.outWidth;
  let sy = row % u.outHeight * u.height / u.outHeight;
  let image = row / u.outHeight;
  out[i] = x[((image * u.height + sy) * u.width + sx) * u.n4 + i % u.n4];
}
