// Token plus position embedding. A table larger than a binding may be comes in windows of rows, a
// dispatch each; a dispatch makes only the tokens whose row it sees.
// Constants: TABLE_F32 (bool): tables are f32, else pairs of f16 in u32.
struct Shape {
  words: u32,
  n4: u32,
  tokens: u32, // per batch
  firstRow: u32,
  rows: u32,
  vocabulary: u32,
}

@group(0) @binding(0) var<uniform> u: Shape;
@group(0) @binding(1) var<storage, read_write> ids: array<u32>;
@group(0) @binding(2) var<storage, read> table: array<u32>;
@group(0) @binding(3) var<storage, read> positions: array<u32>;
@group(0) @binding(4) var<storage, read_write> out: array<Word>;

fn tableWord(i: u32) -> vec4f {
  if (TABLE_F32) {
    let at = 4u * i;
    return bitcast<vec4f>(vec4u(table[at], table[at + 1u], table[at + 2u], table[at + 3u]));
  }
  return vec4f(unpack2x16float(table[2u * i]), unpack2x16float(table[2u * i + 1u]));
}

fn positionWord(i: u32) -> vec4f {
  if (TABLE_F32) {
    let at = 4u * i;
    return bitcast<vec4f>(
      vec4u(positions[at], positions[at + 1u], positions[at + 2u], positions[at + 3u]),
    );
  }
  return vec4f(unpack2x16float(positions[2u * i]), unpack2x16float(positions[2u * i + 1u]));
}

@compute @workgroup_size(THREADS)
fn embed(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let i = wordIndex(group, groups, thread);
  if (i >= u.words) {
    return;
  }
  let token = i / u.n4;
  let c4 = i % u.n4;
  let id = min(ids[token], u.vocabulary - 1u);
  if (id < u.firstRow || id >= u.firstRow + u.rows) {
    return;
  }
  let v = tableWord((id - u.firstRow) * u.n4 + c4) + positionWord(token % u.tokens * u.n4 + c4);
  out[i] = pack(v);
}
