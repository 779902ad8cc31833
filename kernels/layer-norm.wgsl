// Layer norm, a workgroup per row: mean, then variance, then the result (the row stays in cache).
struct Shape {
  firstRow: u32,
  rows: u32,
  n4: u32,
  channels: u32,
  eps: f32,
}

@group(0) @binding(0) var<uniform> u: Shape;
@group(0) @binding(1) var<storage, read_write> x: array<Word>;
@group(0) @binding(2) var<storage, read> gamma: array<vec4f>;
@group(0) @binding(3) var<storage, read> beta: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> out: array<Word>;

const THREADS = 64u;
var<workgroup> sums: array<f32, THREADS>;

fn addUp(value: f32, thread: u32) -> f32 {
  workgroupBarrier();
  sums[thread] = value;
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (thread < half) {
      sums[thread] += sums[thread + half];
    }
    workgroupBarrier();
  }
  return sums[0];
}

@compute @workgroup_size(THREADS)
fn layerNorm(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  // Rows past the end are made again: leaving early would part the threads at a barrier.
  let row = u.firstRow + min(group.x, u.rows - 1u);
  let begin = row * u.n4;
  let lane = vec4u(0u, 1u, 2u, 3u);
  var sum = vec4f(0.0);
  for (var i = thread; i < u.n4; i += THREADS) {
    sum += unpack(x[begin + i]);
  }
  let mean = addUp(dot(sum, vec4f(1.0)), thread) / f32(u.channels);
  var square = vec4f(0.0);
  for (var i = thread; i < u.n4; i += THREADS) {
    let d = select(vec4f(0.0), unpack(x[begin + i]) - mean, 4u * i + lane < vec4u(u.channels));
    square += d * d;
  }
  let variance = addUp(dot(square, vec4f(1.0)), thread) / f32(u.channels);
  let rstd = 1.0 / sqrt(variance + u.eps);
  for (var i = thread; i < u.n4; i += THREADS) {
    // gamma and beta are padded with zeros, and so the result is.
    out[begin + i] = pack((unpack(x[begin + i]) - mean) * rstd * gamma[i] + beta[i]);
  }
}
