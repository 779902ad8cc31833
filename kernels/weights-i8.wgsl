// Packed int8 matrices: panels of 8 columns, [panel][k][8], read as halves of a panel's row; behind
// them an f16 scale, what 128 stands for, for each column of each 64 rows: [panel][k/64][8].
// `unpack4xI8` is not in every browser.
alias WeightWord = u32;

fn weightAt(panel: u32, row: u32, side: u32) -> vec4f {
  let word = bitcast<i32>(weight[(panel * u.depth + row) * 2u + side]);
  let value = vec4f(vec4i(word << 24u, word << 16u, word << 8u, word) >> vec4u(24u));
  // Rows past the last one meet zeros of x, but zero times what lies behind the scales may be NaN.
  let blocks = (u.depth + 63u) / 64u;
  let at = u.scales + (panel * blocks + min(row / 64u, blocks - 1u)) * 4u + side * 2u;
  let scale = vec4f(unpack2x16float(weight[at]), unpack2x16float(weight[at + 1u]));
  return value * scale * 0.0078125;
}
