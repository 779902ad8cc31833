// Pointwise functions; each maps 0 to 0, so the zeros that pad a row of channels stay zeros.
// `kind` is a constant at every call.
const NONE = 0u;
const SILU = 1u;
const GELU = 2u;
const QUICK_GELU = 3u;
const RELU = 4u;
const TANH = 5u;

fn sigmoid(v: vec4f) -> vec4f {
  // exp overflows beyond 88, and then WGSL promises nothing.
  return 1.0 / (1.0 + exp(min(-v, vec4f(80.0))));
}

// Abramowitz and Stegun 7.1.26, absolute error below 1.5e-7.
fn erf(v: vec4f) -> vec4f {
  let a = abs(v);
  let t = 1.0 / (1.0 + 0.3275911 * a);
  let poly = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t
    + 0.254829592) * t;
  return sign(v) * (1.0 - poly * exp(-min(a * a, vec4f(80.0))));
}

fn gelu(v: vec4f) -> vec4f {
  return 0.5 * v * (1.0 + erf(v * 0.7071067811865476));
}

fn activate(kind: u32, v: vec4f) -> vec4f {
  if (kind == SILU) {
    return v * sigmoid(v);
  }
  if (kind == GELU) {
    return gelu(v);
  }
  if (kind == QUICK_GELU) {
    return v * sigmoid(1.702 * v);
  }
  if (kind == RELU) {
    return max(v, vec4f(0.0));
  }
  if (kind == TANH) {
    // Some drivers return NaN for large arguments.
    return tanh(clamp(v, vec4f(-16.0), vec4f(16.0)));
  }
  return v;
}
