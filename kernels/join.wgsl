// Channels of x and then of skip, each word put together channel by channel where x's channels are
// no multiple of 4; with NORM also the group norm's scale and shift, and an activation.
// Constants: SKIP, NORM (bool), FN (an activation).
struct Shape {
  begin: u32,
  end: u32,
  xOrigin: u32,
  skipOrigin: u32,
  outOrigin: u32,
  n4: u32, // words of a row of the result, of x and of skip
  x4: u32,
  skip4: u32,
  xChannels: u32,
  channels: u32,
  wordsPerBatch: u32,
}

@group(0) @binding(0) var<uniform> u: Shape;
@group(0) @binding(1) var<storage, read_write> x: array<Word>;
@group(0) @binding(2) var<storage, read_write> skip: array<Word>;
@group(0) @binding(3) var<storage, read_write> norm: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> out: array<Word>;

// One word in the padded order: all of x's words, then skip's.
fn fetch(image: u32, row: u32, word: u32) -> vec4f {
  var v: vec4f;
  if (SKIP && word >= u.x4) {
    v = unpack(skip[row * u.skip4 + word - u.x4 - u.skipOrigin]);
  } else {
    v = unpack(x[row * u.x4 + word - u.xOrigin]);
  }
  if (NORM) {
    let words = u.x4 + u.skip4;
    let at = 2u * image * words + word;
    v = v * norm[at] + norm[at + words];
  }
  return activate(FN, v);
}

fn channel(image: u32, row: u32, c: u32) -> f32 {
  if (c >= u.channels) {
    return 0.0;
  }
  let place = c + select(0u, 4u * u.x4 - u.xChannels, c >= u.xChannels);
  return fetch(image, row, place / 4u)[place % 4u];
}

@compute @workgroup_size(THREADS)
fn join(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = u.begin + wordIndex(group, groups, thread);
  if (i >= u.end) {
    return;
  }
  let image = i / u.wordsPerBatch;
  let row = i / u.n4;
  let n4 = i % u.n4;
  var v: vec4f;
  if (!SKIP || u.xChannels % 4u == 0u) {
    v = fetch(image, row, n4);
  } else {
    let c = 4u * n4;
    v = vec4f(
      channel(image, row, c),
      channel(image, row, c + 1u),
      channel(image, row, c + 2u),
      channel(image, row, c + 3u),
    );
  }
  out[i - u.outOrigin] = pack(v);
}
