// Activations as native f16 (feature `shader-f16`). A word is four channels.
alias Word = vec4<f16>;

fn unpack(word: Word) -> vec4f {
  return vec4f(word);
}

fn pack(v: vec4f) -> Word {
  return Word(v);
}
