// Packed f32 matrices: panels of 8 columns, [panel][k][8], read as halves of a panel's row.
alias WeightWord = vec4<f32>;

fn weightAt(panel: u32, row: u32, side: u32) -> vec4f {
  return weight[(panel * u.depth + row) * 2u + side];
}
