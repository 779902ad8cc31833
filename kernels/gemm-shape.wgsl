// What the matrix kernels share: shapes, operands, and the epilogue. Word counts end in 4.
// Constants: BIAS, CHANNEL_BIAS, RESIDUAL, GEGLU (bool), OUT_ACT (an activation).
struct Shape {
  rowBegin: u32, // rows (output pixels) of this dispatch
  rowEnd: u32,
  rowsPerBatch: u32,
  n4: u32, // words of an output row
  columns4: u32, // words of a weight row: n4, or twice that with GEGLU
  x4: u32, // words of a pixel of x, and of skip
  skip4: u32,
  xPad: u32, // zeros between the channels of x and of skip
  channels: u32, // rows of the weight per tap
  depth: u32, // rows of the weight
  cBlocks: u32, // blocks of 4·BK4 channels per tap
  blocksPerSplit: u32, // of the taps·cBlocks blocks
  blocks: u32,
  scales: u32, // where an int8 weight's scales begin
  height: u32, // of the picture the taps walk over
  width: u32,
  sourceHeight: u32, // of the picture before nearest-neighbour upsampling
  sourceWidth: u32,
  outWidth: u32,
  kernelWidth: u32,
  stride: u32,
  padTop: u32,
  padLeft: u32,
  wrapX: u32,
  wrapY: u32,
  xOrigin: u32, // first word of each binding within its tensor
  skipOrigin: u32,
  residualOrigin: u32,
  outOrigin: u32,
  splits: u32,
}

@group(0) @binding(0) var<uniform> u: Shape;
@group(0) @binding(1) var<storage, read_write> x: array<Word>;
@group(0) @binding(2) var<storage, read_write> skip: array<Word>;
@group(0) @binding(3) var<storage, read_write> norm: array<vec4f>;
@group(0) @binding(4) var<storage, read> weight: array<WeightWord>;
@group(0) @binding(5) var<storage, read> bias: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> channelBias: array<Word>;
@group(0) @binding(7) var<storage, read_write> residual: array<Word>;
@group(0) @binding(8) var<storage, read_write> out: array<Word>;
@group(0) @binding(9) var<storage, read_write> partials: array<vec4f>;

fn biased(sum: vec4f, n4: u32) -> vec4f {
  if (BIAS) {
    return sum + bias[n4];
  }
  return sum;
}

fn finish(sum: vec4f, row: u32, n4: u32) {
  var v = biased(sum, n4);
  if (CHANNEL_BIAS) {
    v += unpack(channelBias[row / u.rowsPerBatch * u.n4 + n4]);
  }
  if (RESIDUAL) {
    v += unpack(residual[row * u.n4 + n4 - u.residualOrigin]);
  }
  out[row * u.n4 + n4 - u.outOrigin] = pack(activate(OUT_ACT, v));
}

fn finishGated(value: vec4f, gate: vec4f, row: u32, n4: u32) {
  let v = biased(value, n4) * gelu(biased(gate, u.n4 + n4));
  out[row * u.n4 + n4 - u.outOrigin] = pack(v);
}
