// Sinusoidal embedding. Angles reach 1000, where the sines of many drivers are worth little, so
// they are reduced to an octant first (Cody and Waite; polynomials of Cephes' sinf and cosf).
struct Shape {
  words: u32,
  dim: u32,
  embeddings: u32, // side by side in a row
  n4: u32,
  flip: u32, // cosines first
}

@group(0) @binding(0) var<uniform> u: Shape;
@group(0) @binding(1) var<storage, read_write> t: array<f32>;
@group(0) @binding(2) var<storage, read> frequencies: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<Word>;

// sin(angle + quarters·π/2)
fn sine(angle: f32, quarters: u32) -> f32 {
  let turns = round(angle * 0.6366197723675814);
  var r = angle - turns * 1.5703125;
  r = r - turns * 4.837512969970703125e-4;
  r = r - turns * 7.54978995489188216e-8;
  let quadrant = (u32(i32(turns)) + quarters) & 3u;
  let r2 = r * r;
  let sinR = r + r * r2 * (-1.6666654611e-1 + r2 * (8.3321608736e-3 - r2 * 1.9515295891e-4));
  let cosR = 1.0 - 0.5 * r2
    + r2 * r2 * (4.166664568298827e-2 + r2 * (-1.388731625493765e-3 + r2 * 2.443315711809948e-5));
  let v = select(sinR, cosR, (quadrant & 1u) == 1u);
  return select(v, -v, quadrant >= 2u);
}

fn channel(row: u32, c: u32) -> f32 {
  if (c >= u.dim * u.embeddings) {
    return 0.0;
  }
  let at = c % u.dim;
  let half = u.dim / 2u;
  let angle = t[row * u.embeddings + c / u.dim] * frequencies[at % half];
  return sine(angle, select(0u, 1u, (at < half) == (u.flip == 1u)));
}

@compute @workgroup_size(THREADS)
fn sinusoid(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = wordIndex(group, groups, thread);
  if (i >= u.words) {
    return;
  }
  let row = i / u.n4;
  let c = 4u * (i % u.n4);
  out[i] = pack(vec4f(channel(row, c), channel(row, c + 1u), channel(row, c + 2u), channel(row, c + 3u)));
}
