// Classifier-free guidance: from a UNet's predictions, a negative for each picture and then a row for
// each pull, one prediction per picture, f32 and NCHW: negative + Σ scale·(positive − negative).
// Without pulls the rows are the predictions.
struct Shape {
  size: u32, // of a vector, and of one picture in it
  pictureSize: u32,
  into: u32,
  pixels: u32,
  n4: u32, // words of a pixel of the output
  pictures: u32,
  pulls: u32,
  rescale: f32,
}

struct Pull {
  picture: u32,
  weight: f32,
  scale: f32, // guidance scale · weight
  unused: u32,
}

@group(0) @binding(0) var<uniform> u: Shape;
@group(0) @binding(1) var<storage, read_write> vectors: array<f32>;
@group(0) @binding(2) var<storage, read_write> predictions: array<Word>;
@group(0) @binding(3) var<storage, read> pulls: array<Pull>;

// Element i of a picture, NCHW, in a row of the batch.
fn prediction(row: u32, i: u32) -> f32 {
  let c = i / u.pixels;
  return unpack(predictions[(row * u.pixels + i % u.pixels) * u.n4 + c / 4u])[c % 4u];
}

@compute @workgroup_size(THREADS)
fn guide(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = wordIndex(group, groups, thread);
  if (i >= u.size) {
    return;
  }
  let picture = i / u.pictureSize;
  let at = i % u.pictureSize;
  let negative = prediction(picture, at);
  var sum = negative;
  for (var k = 0u; k < u.pulls; k++) {
    if (pulls[k].picture == picture) {
      sum += pulls[k].scale * (prediction(u.pictures + k, at) - negative);
    }
  }
  vectors[u.into * u.size + i] = sum;
}

// What guidance of scale 1 would be.
fn positive(picture: u32, at: u32) -> f32 {
  let negative = prediction(picture, at);
  var sum = negative;
  for (var k = 0u; k < u.pulls; k++) {
    if (pulls[k].picture == picture) {
      sum += pulls[k].weight * (prediction(u.pictures + k, at) - negative);
    }
  }
  return sum;
}

const WIDTH = 256u;

// Brings what `guide` left back to the spread of the positive prediction (Lin 2023, section 3.4).
@compute @workgroup_size(WIDTH)
fn rescale(@builtin(workgroup_id) group: vec3u, thread: Thread) {
  let picture = group.x;
  let first = u.into * u.size + picture * u.pictureSize;
  var sum = vec4f(0.0);
  for (var at = thread.index; at < u.pictureSize; at += WIDTH) {
    sum += vec4f(positive(picture, at), vectors[first + at], 0.0, 0.0);
  }
  let mean = workgroupSum(sum, thread) / f32(u.pictureSize);
  var square = vec4f(0.0);
  for (var at = thread.index; at < u.pictureSize; at += WIDTH) {
    let d = vec4f(positive(picture, at), vectors[first + at], 0.0, 0.0) - mean;
    square += d * d;
  }
  let spread = sqrt(workgroupSum(square, thread));
  let factor = u.rescale * (spread.x / spread.y) + 1.0 - u.rescale;
  for (var at = thread.index; at < u.pictureSize; at += WIDTH) {
    vectors[first + at] *= factor;
  }
}
