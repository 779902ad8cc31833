// Packed f32 matrices: panels of 8 columns, [panel][k][8], read as halves of a panel's row.
alias WeightWord = vec4<f32>;

fn weightAt(i: u32) -> vec4f {
  return weight[i];
}

fn scaled(v: vec4f, n4: u32) -> vec4f {
  return v;
}
