// The input of a UNet: for each row of its batch the vector of the row's picture, NCHW in f32, as
// NHWC words, with channels that join it (a mask, a masked picture) behind its own.
struct Shape {
  words: u32, // of the input
  n4: u32, // of one of its pixels
  channels: u32, // of a vector
  more: u32, // that join it
  pixels: u32,
  size: u32, // of a vector
  source: u32, // the vector
}

@group(0) @binding(0) var<uniform> u: Shape;
@group(0) @binding(1) var<storage, read_write> vectors: array<f32>;
@group(0) @binding(2) var<storage, read> extra: array<f32>;
@group(0) @binding(3) var<storage, read> pictures: array<u32>; // of each row
@group(0) @binding(4) var<storage, read_write> out: array<Word>;

fn channel(picture: u32, pixel: u32, c: u32) -> f32 {
  if (c < u.channels) {
    return vectors[u.source * u.size + (picture * u.channels + c) * u.pixels + pixel];
  }
  if (c < u.channels + u.more) {
    return extra[(picture * u.more + c - u.channels) * u.pixels + pixel];
  }
  return 0.0;
}

@compute @workgroup_size(THREADS)
fn feed(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = wordIndex(group, groups, thread);
  if (i >= u.words) {
    return;
  }
  let row = i / u.n4 / u.pixels;
  let pixel = i / u.n4 % u.pixels;
  let picture = pictures[row];
  let c = 4u * (i % u.n4);
  out[i] = pack(vec4f(
    channel(picture, pixel, c),
    channel(picture, pixel, c + 1u),
    channel(picture, pixel, c + 2u),
    channel(picture, pixel, c + 3u),
  ));
}
