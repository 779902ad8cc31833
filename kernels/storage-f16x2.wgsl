// Activations as pairs of f16 in u32, for devices without `shader-f16`. A word is four channels.
alias Word = vec2<u32>;

fn unpack(word: Word) -> vec4f {
  return vec4f(unpack2x16float(word.x), unpack2x16float(word.y));
}

fn pack(v: vec4f) -> Word {
  return Word(pack2x16float(v.xy), pack2x16float(v.zw));
}
