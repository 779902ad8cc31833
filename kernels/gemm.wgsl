// Matrix product and convolution as implicit GEMM: out[row, n] = Σ x(row, tap, c)·W[tap, c, n].
// A workgroup makes a tile of BM rows × 4·BN4 columns, a thread TM × 4·TN4 of it. Tiles of both
// operands are staged in workgroup memory as f32, 4·BK4 deep; the next ones are fetched into
// registers while the current ones are multiplied.
// Constants: BM, BN4, BK4, TM, TN4, THREADS_M, THREADS_N, THREADS, FETCH_A, FETCH_B (words fetched
// per thread), CONV, SKIP, NORM, UPSAMPLE, WRAP (bool), IN_ACT, and those of gemm-shape.wgsl.
const BK = 4u * BK4;
// One word more than needed: rows then start in different banks.
const STRIDE_A = BK4 + 1u;
const STRIDE_B = BN4 + 1u;
// Panels of values, and of gates, in a tile with GEGLU.
const HALF = max(BN4 / 4u, 1u);

var<workgroup> tileA: array<vec4f, BM * STRIDE_A>;
var<workgroup> tileB: array<vec4f, BK * STRIDE_B>;

alias Sums = array<vec4f, TM * TN4>;

// The pixel of x that a tap meets, or -1 where it meets padding.
fn sourcePixel(image: u32, y0: i32, x0: i32, tap: u32) -> i32 {
  var iy = y0 + i32(tap / u.kernelWidth);
  var ix = x0 + i32(tap % u.kernelWidth);
  let height = i32(u.height);
  let width = i32(u.width);
  if (WRAP) {
    if (u.wrapY == 1u) {
      iy = (iy + height) % height;
    }
    if (u.wrapX == 1u) {
      ix = (ix + width) % width;
    }
  }
  if (iy < 0 || iy >= height || ix < 0 || ix >= width) {
    return -1;
  }
  var sy = u32(iy);
  var sx = u32(ix);
  if (UPSAMPLE) {
    sy = sy * u.sourceHeight / u.height;
    sx = sx * u.sourceWidth / u.width;
  }
  return i32((image * u.sourceHeight + sy) * u.sourceWidth + sx);
}

fn fetchX(pixel: i32, image: u32, c4: u32) -> vec4f {
  let c4s = u.x4 + u.skip4;
  if (pixel < 0 || c4 >= c4s) {
    return vec4f(0.0);
  }
  var v: vec4f;
  if (SKIP && c4 >= u.x4) {
    v = unpack(skip[u32(pixel) * u.skip4 + c4 - u.x4 - u.skipOrigin]);
  } else {
    v = unpack(x[u32(pixel) * u.x4 + c4 - u.xOrigin]);
  }
  if (NORM) {
    let at = 2u * image * c4s + c4;
    v = v * norm[at] + norm[at + c4s];
  }
  return activate(IN_ACT, v);
}

// Half a panel's row of the weight. Rows past the last channel meet zeros of x, and columns past
// the last are never stored, so neither needs a test.
fn fetchWeight(slot: u32, tileN: u32, tap: u32, c0: u32) -> vec4f {
  let c = c0 + slot / 2u % BK;
  var panel = slot / 2u / BK;
  if (GEGLU) {
    // The left half of the tile holds values, the right half their gates.
    let gate = panel >= HALF;
    panel = tileN * HALF + panel % HALF + select(0u, u.n4 / 2u, gate);
  } else {
    panel += tileN * (BN4 / 2u);
  }
  let row = tap * u.channels + c - select(0u, u.xPad, c >= 4u * u.x4);
  return weightAt(panel, row, slot & 1u);
}

fn multiply(sums: ptr<function, Sums>, tileM: u32, tileN: u32, split: u32, thread: u32) {
  let tx = thread % THREADS_N;
  let ty = thread / THREADS_N;

  // Where the rows this thread fetches lie in the picture.
  var image: array<u32, FETCH_A>;
  var y0: array<i32, FETCH_A>;
  var x0: array<i32, FETCH_A>;
  var pixel: array<i32, FETCH_A>;
  for (var i = 0u; i < FETCH_A; i++) { // @unroll
    let row = min(u.rowBegin + tileM * BM + (thread + i * THREADS) / BK4, u.rowEnd - 1u);
    image[i] = row / u.rowsPerBatch;
    if (CONV) {
      let at = row % u.rowsPerBatch;
      y0[i] = i32(at / u.outWidth * u.stride) - i32(u.padTop);
      x0[i] = i32(at % u.outWidth * u.stride) - i32(u.padLeft);
    } else {
      pixel[i] = i32(row);
    }
  }

  var block = split * u.blocksPerSplit;
  let end = min(block + u.blocksPerSplit, u.blocks);
  var tap = block / u.cBlocks;
  var c4 = block % u.cBlocks * BK4;
  var moved = true;
  var nextA: array<vec4f, FETCH_A>;
  var nextB: array<vec4f, FETCH_B>;

  loop {
    if (block < end) {
      if (CONV && moved) {
        for (var i = 0u; i < FETCH_A; i++) { // @unroll
          pixel[i] = sourcePixel(image[i], y0[i], x0[i], tap);
        }
      }
      for (var i = 0u; i < FETCH_A; i++) { // @unroll
        nextA[i] = fetchX(pixel[i], image[i], c4 + thread % BK4);
      }
      for (var i = 0u; i < FETCH_B; i++) { // @unroll
        nextB[i] = fetchWeight(thread + i * THREADS, tileN, tap, 4u * c4);
      }
    }

    if (block > split * u.blocksPerSplit) {
      for (var k4 = 0u; k4 < BK4; k4++) {
        var b: array<vec4f, 4u * TN4>;
        for (var j = 0u; j < TN4; j++) { // @unroll
          let at = 4u * k4 * STRIDE_B + j * THREADS_N + tx;
          b[4u * j] = tileB[at];
          b[4u * j + 1u] = tileB[at + STRIDE_B];
          b[4u * j + 2u] = tileB[at + 2u * STRIDE_B];
          b[4u * j + 3u] = tileB[at + 3u * STRIDE_B];
        }
        for (var i = 0u; i < TM; i++) { // @unroll
          let a = tileA[(i * THREADS_M + ty) * STRIDE_A + k4];
          for (var j = 0u; j < TN4; j++) { // @unroll
            (*sums)[i * TN4 + j] +=
              a.x * b[4u * j] + a.y * b[4u * j + 1u] + a.z * b[4u * j + 2u] + a.w * b[4u * j + 3u];
          }
        }
      }
      workgroupBarrier();
    }
    if (block >= end) {
      break;
    }

    for (var i = 0u; i < FETCH_A; i++) { // @unroll
      let slot = thread + i * THREADS;
      tileA[slot / BK4 * STRIDE_A + slot % BK4] = nextA[i];
    }
    for (var i = 0u; i < FETCH_B; i++) { // @unroll
      let slot = thread + i * THREADS;
      tileB[slot / 2u % BK * STRIDE_B + slot / 2u / BK * 2u + (slot & 1u)] = nextB[i];
    }
    workgroupBarrier();

    block++;
    c4 += BK4;
    moved = c4 >= u.cBlocks * BK4;
    if (moved) {
      c4 = 0u;
      tap++;
    }
  }
}

@compute @workgroup_size(THREADS)
fn gemm(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  var sums: Sums;
  multiply(&sums, group.y, group.x, 0u, thread);
  let tx = thread % THREADS_N;
  let ty = thread / THREADS_N;
  for (var i = 0u; i < TM; i++) { // @unroll
    let row = u.rowBegin + group.y * BM + i * THREADS_M + ty;
    if (row < u.rowEnd) {
      if (GEGLU) {
        // TN4 is 2: a thread holds one word of values and the word of their gates.
        let n4 = group.x * (BN4 / 2u) + tx;
        if (n4 < u.n4) {
          finishGated(sums[i * TN4], sums[i * TN4 + TN4 - 1u], row, n4);
        }
      } else {
        for (var j = 0u; j < TN4; j++) { // @unroll
          let n4 = group.x * BN4 + j * THREADS_N + tx;
          if (n4 < u.n4) {
            finish(sums[i * TN4 + j], row, n4);
          }
        }
      }
    }
  }
}

// A part of the sum over k, for gemm-reduce.wgsl to finish.
@compute @workgroup_size(THREADS)
fn gemmSplit(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  var sums: Sums;
  multiply(&sums, group.y, group.x, group.z, thread);
  let tx = thread % THREADS_N;
  let ty = thread / THREADS_N;
  let plane = group.z * (u.rowEnd - u.rowBegin);
  for (var i = 0u; i < TM; i++) { // @unroll
    let row = group.y * BM + i * THREADS_M + ty;
    if (u.rowBegin + row < u.rowEnd) {
      for (var j = 0u; j < TN4; j++) { // @unroll
        var n4 = group.x * BN4 + j * THREADS_N + tx;
        var inside = n4 < u.columns4;
        if (GEGLU) {
          n4 = group.x * (BN4 / 2u) + tx;
          inside = n4 < u.n4;
          n4 += j * u.n4;
        }
        if (inside) {
          partials[(plane + row) * u.columns4 + n4] = sums[i * TN4 + j];
        }
      }
    }
  }
}
