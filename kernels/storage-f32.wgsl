// Activations as plain f32. A word is four channels; rows of channels are padded to whole words
// with zeros, so that no kernel needs a scalar path.
alias Word = vec4<f32>;

fn unpack(word: Word) -> vec4f {
  return word;
}

fn pack(v: vec4f) -> Word {
  return v;
}
