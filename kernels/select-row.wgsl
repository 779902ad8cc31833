// One row of each batch: out[b] = x[b, rows[b]].
struct Shape {
  words: u32,
  n4: u32,
  perBatch: u32, // rows of a batch
}

@group(0) @binding(0) var<uniform> u: Shape;
@group(0) @binding(1) var<storage, read_write> x: array<Word>;
@group(0) @binding(2) var<storage, read_write> rows: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<Word>;

@compute @workgroup_size(THREADS)
fn selectRow(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = wordIndex(group, groups, thread);
  if (i < u.words) {
    let image = i / u.n4;
    out[i] = x[(image * u.perBatch + min(rows[image], u.perBatch - 1u)) * u.n4 + i % u.n4];
  }
}
