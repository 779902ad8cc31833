// vectors[into] = Σ inside·vector, or where there is a mask that by its value and Σ outside·vector by
// the rest of it. Vectors are f32, NCHW, one after another. An element is read and written by one
// thread, so `into` may be among the vectors that are summed.
// Constants: MASKED (bool).
struct Term {
  vector: u32,
  inside: f32,
  outside: f32,
  unused: u32,
}

struct Shape {
  size: u32, // of a vector
  into: u32,
  pixels: u32, // of the mask
  count: u32,
  terms: array<Term, 32>,
}

@group(0) @binding(0) var<uniform> u: Shape;
@group(0) @binding(1) var<storage, read_write> vectors: array<f32>;
@group(0) @binding(2) var<storage, read> mask: array<f32>;

@compute @workgroup_size(THREADS)
fn combine(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = wordIndex(group, groups, thread);
  if (i >= u.size) {
    return;
  }
  var inside = 0.0;
  var outside = 0.0;
  for (var k = 0u; k < u.count; k++) {
    let term = u.terms[k];
    let x = vectors[term.vector * u.size + i];
    inside += term.inside * x;
    outside += term.outside * x;
  }
  if (MASKED) {
    let m = mask[i % u.pixels];
    inside = (1.0 - m) * outside + m * inside;
  }
  vectors[u.into * u.size + i] = inside;
}
