// Packed int8 matrices: panels of 8 columns, [panel][k][8], and behind them one f32 scale per
// column, which is applied once to the finished sum. `unpack4xI8` is not in every browser.
alias WeightWord = u32;

fn weightAt(i: u32) -> vec4f {
  let word = bitcast<i32>(weight[i]);
  return vec4f(vec4i(word << 24u, word << 16u, word << 8u, word) >> vec4u(24u));
}

fn scaled(v: vec4f, n4: u32) -> vec4f {
  let at = u.scales + 4u * n4;
  return v * bitcast<vec4f>(vec4u(weight[at], weight[at + 1u], weight[at + 2u], weight[at + 3u]));
}
