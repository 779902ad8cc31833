// Packed f16 matrices: panels of 8 columns, [panel][k][8], read as halves of a panel's row.
alias WeightWord = vec2<u32>;

fn weightAt(panel: u32, row: u32, side: u32) -> vec4f {
  let word = weight[(panel * u.depth + row) * 2u + side];
  return vec4f(unpack2x16float(word.x), unpack2x16float(word.y));
}
