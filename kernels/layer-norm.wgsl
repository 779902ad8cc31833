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

const WIDTH = 64u;

@compute @workgroup_size(WIDTH)
fn layerNorm(@builtin(workgroup_id) group: vec3u, thread: Thread) {
  // Rows past the end are made again: leaving early would part the threads at a barrier.
  let row = u.firstRow + min(group.x, u.rows - 1u);
  let begin = row * u.n4;
  let lane = vec4u(0u, 1u, 2u, 3u);
  var sum = vec4f(0.0);
  for (var i = thread.index; i < u.n4; i += WIDTH) {
    sum += unpack(x[begin + i]);
  }
  let mean = dot(workgroupSum(sum, thread), vec4f(1.0)) / f32(u.channels);
  var square = vec4f(0.0);
  for (var i = thread.index; i < u.n4; i += WIDTH) {
    let d = select(vec4f(0.0), unpack(x[begin + i]) - mean, 4u * i + lane < vec4u(u.channels));
    square += d * d;
  }
  let variance = dot(workgroupSum(square, thread), vec4f(1.0)) / f32(u.channels);
  let rstd = 1.0 / sqrt(variance + u.eps);
  for (var i = thread.index; i < u.n4; i += WIDTH) {
    // gamma and beta are padded with zeros, and so the result is.
    out[begin + i] = pack((unpack(x[begin + i]) - mean) * rstd * gamma[i] + beta[i]);
  }
}
