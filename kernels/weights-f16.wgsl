// Packed f16 matrices: panels of 8 columns, [panel][k][8], read as halves of a panel's row.
alias WeightWord = vec2<u32>;

fn weightAt(i: u32) -> vec4f {
  let word = weight[i];
  return vec4f(unpack2x16float(word.x), unpack2x16float(word.y));
}

fn scaled(v: vec4f, n4: u32) -> vec4f {
  return v;
}
