// Scale and shift per channel of a group norm: y = x·scale + shift. `groupStats` makes them in one
// go, a workgroup per group; where that underfills the device, `groupParts` takes mean and squared
// deviations of chunks of pixels and `groupFinish` joins them (Chan et al. 1983). Sums are of
// differences from one of the values, so that a large mean costs no precision.
// Constants: SKIP (bool).
struct Shape {
  pixels: u32, // per batch
  x4: u32, // words of a pixel of x, and of skip
  skip4: u32,
  xChannels: u32,
  channels: u32, // of x and skip
  groupChannels: u32,
  lanes: u32, // threads side by side on one pixel, a power of two
  chunk: u32, // pixels per workgroup of groupParts
  chunks: u32,
  firstChunk: u32,
  xOrigin: u32, // first word of each binding within its tensor
  skipOrigin: u32,
  eps: f32,
}

@group(0) @binding(0) var<uniform> u: Shape;
@group(0) @binding(1) var<storage, read_write> x: array<Word>;
@group(0) @binding(2) var<storage, read_write> skip: array<Word>;
@group(0) @binding(3) var<storage, read> gamma: array<f32>;
@group(0) @binding(4) var<storage, read> beta: array<f32>;
@group(0) @binding(5) var<storage, read_write> parts: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> stats: array<f32>;

const WIDTH = 256u;

// Where a channel lies in a row of x's and then skip's words.
fn place(c: u32) -> u32 {
  if (SKIP && c >= u.xChannels) {
    return 4u * u.x4 + c - u.xChannels;
  }
  return c;
}

// The channels in a word; those that pad it come out past the last one.
fn channelsOf(word: u32) -> vec4u {
  let lane = vec4u(0u, 1u, 2u, 3u);
  if (SKIP && word >= u.x4) {
    return u.xChannels + 4u * (word - u.x4) + lane;
  }
  let c = 4u * word + lane;
  return select(vec4u(u.channels), c, c < vec4u(u.xChannels));
}

fn fetch(pixel: u32, word: u32) -> vec4f {
  if (SKIP && word >= u.x4) {
    return unpack(skip[pixel * u.skip4 + word - u.x4 - u.skipOrigin]);
  }
  return unpack(x[pixel * u.x4 + word - u.xOrigin]);
}

fn maskOf(word: u32, group: u32) -> vec4f {
  let c = channelsOf(word);
  let first = group * u.groupChannels;
  return select(
    vec4f(0.0),
    vec4f(1.0),
    (c >= vec4u(first)) & (c < vec4u(first + u.groupChannels)),
  );
}

fn finish(image: u32, group: u32, mean: f32, variance: f32, thread: u32) {
  let rstd = 1.0 / sqrt(variance + u.eps);
  let width = 4u * (u.x4 + u.skip4);
  let row = 2u * image * width;
  for (var i = thread; i < u.groupChannels; i += WIDTH) {
    let c = group * u.groupChannels + i;
    let scale = rstd * gamma[c];
    stats[row + place(c)] = scale;
    stats[row + width + place(c)] = beta[c] - mean * scale;
  }
  if (group == 0u) {
    // The zeros behind x's channels, and behind skip's.
    for (var c = u.xChannels + thread; c < 4u * u.x4; c += WIDTH) {
      stats[row + c] = 0.0;
      stats[row + width + c] = 0.0;
    }
    for (var c = place(u.channels) + thread; SKIP && c < width; c += WIDTH) {
      stats[row + c] = 0.0;
      stats[row + width + c] = 0.0;
    }
  }
}

@compute @workgroup_size(WIDTH)
fn groupStats(@builtin(workgroup_id) id: vec3u, thread: Thread) {
  let group = id.x;
  let image = id.y;
  let first = place(group * u.groupChannels);
  let last = place(group * u.groupChannels + u.groupChannels - 1u) / 4u;
  let pivot = fetch(image * u.pixels, first / 4u)[first % 4u];
  var sum = vec4f(0.0);
  var square = vec4f(0.0);
  for (var word = first / 4u + thread.index % u.lanes; word <= last; word += u.lanes) {
    let mask = maskOf(word, group);
    for (var pixel = thread.index / u.lanes; pixel < u.pixels; pixel += WIDTH / u.lanes) {
      let d = (fetch(image * u.pixels + pixel, word) - pivot) * mask;
      sum += d;
      square += d * d;
    }
  }
  sum = workgroupSum(sum, thread);
  square = workgroupSum(square, thread);
  let count = f32(u.pixels * u.groupChannels);
  let shifted = dot(sum, vec4f(1.0)) / count;
  let variance = max(dot(square, vec4f(1.0)) / count - shifted * shifted, 0.0);
  finish(image, group, pivot + shifted, variance, thread.index);
}

const LANES = 16u;

var<workgroup> sums: array<vec4f, WIDTH>;
var<workgroup> squares: array<vec4f, WIDTH>;

// 16 words × 16 pixels at a time, so that reads run along the channels.
@compute @workgroup_size(WIDTH)
fn groupParts(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) thread: u32) {
  let words = u.x4 + u.skip4;
  let word = id.x * LANES + thread % LANES;
  let chunk = u.firstChunk + id.y;
  let image = chunk / u.chunks;
  let begin = chunk % u.chunks * u.chunk;
  let end = min(begin + u.chunk, u.pixels);
  var pivot = vec4f(0.0);
  var sum = vec4f(0.0);
  var square = vec4f(0.0);
  if (word < words) {
    pivot = fetch(image * u.pixels + begin, word);
    for (var pixel = begin + thread / LANES; pixel < end; pixel += WIDTH / LANES) {
      let d = fetch(image * u.pixels + pixel, word) - pivot;
      sum += d;
      square += d * d;
    }
  }
  sums[thread] = sum;
  squares[thread] = square;
  workgroupBarrier();
  for (var half = WIDTH / 2u; half >= LANES; half /= 2u) {
    if (thread < half) {
      sums[thread] += sums[thread + half];
      squares[thread] += squares[thread + half];
    }
    workgroupBarrier();
  }
  if (thread < LANES && word < words) {
    let at = 2u * chunk * words + word;
    let shifted = sums[thread] / f32(end - begin);
    parts[at] = pivot + shifted;
    parts[at + words] = max(squares[thread] - sums[thread] * shifted, vec4f(0.0));
  }
}

fn chunkPixels(chunk: u32) -> f32 {
  return f32(min(u.chunk, u.pixels - chunk * u.chunk));
}

@compute @workgroup_size(WIDTH)
fn groupFinish(@builtin(workgroup_id) id: vec3u, thread: Thread) {
  let group = id.x;
  let image = id.y;
  let words = u.x4 + u.skip4;
  let first = place(group * u.groupChannels) / 4u;
  let last = place(group * u.groupChannels + u.groupChannels - 1u) / 4u;
  let count = f32(u.pixels * u.groupChannels);
  var sum = vec4f(0.0);
  for (var word = first + thread.index % u.lanes; word <= last; word += u.lanes) {
    let mask = maskOf(word, group);
    for (var chunk = thread.index / u.lanes; chunk < u.chunks; chunk += WIDTH / u.lanes) {
      sum += parts[2u * (image * u.chunks + chunk) * words + word] * mask * chunkPixels(chunk);
    }
  }
  let mean = dot(workgroupSum(sum, thread), vec4f(1.0)) / count;

  var square = vec4f(0.0);
  for (var word = first + thread.index % u.lanes; word <= last; word += u.lanes) {
    let mask = maskOf(word, group);
    for (var chunk = thread.index / u.lanes; chunk < u.chunks; chunk += WIDTH / u.lanes) {
      let at = 2u * (image * u.chunks + chunk) * words + word;
      let d = parts[at] - mean;
      square += (parts[at + words] + d * d * chunkPixels(chunk)) * mask;
    }
  }
  let variance = dot(workgroupSum(square, thread), vec4f(1.0)) / count;
  finish(image, group, mean, variance, thread.index);
}
