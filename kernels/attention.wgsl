// Flash attention (Dao et al. 2022): softmax(q·kᵀ/√d)·v with a running maximum, so that scores are
// never stored. A query is held by SPLIT neighbouring threads, each with every SPLIT-th word of q
// and of the result in registers; keys and values are staged KEYS at a time and met four by four.
// Constants: D4 (words of a head), OWN (words per thread, ⌈D4/SPLIT⌉), SPLIT, THREADS, KEYS (a
// multiple of 4), SHARED (bool: one tile for keys and then values; KEYS is 4), CAUSAL (bool), and the
// size of what is not always needed, TILE_V (words of values).
struct Shape {
  queries: u32, // per batch
  keys: u32,
  n4: u32, // words of a row of q, k, v and the result
  firstBlock: u32, // of THREADS/SPLIT queries
  scale: f32, // log2(e)/√d, for exp2
}

@group(0) @binding(0) var<uniform> u: Shape;
@group(0) @binding(1) var<storage, read_write> q: array<Word>;
@group(0) @binding(2) var<storage, read_write> k: array<Word>;
@group(0) @binding(3) var<storage, read_write> v: array<Word>;
@group(0) @binding(4) var<storage, read_write> out: array<Word>;

const ROW = OWN * SPLIT;
const NEVER = -1e30;

var<workgroup> tileK: array<vec4f, KEYS * ROW>;
var<workgroup> tileV: array<vec4f, TILE_V>;

fn fetchK(image: u32, key: u32, head: u32, c4: u32) -> vec4f {
  if (key >= u.keys || c4 >= D4) {
    return vec4f(0.0);
  }
  return unpack(k[(image * u.keys + key) * u.n4 + head * D4 + c4]);
}

fn fetchV(image: u32, key: u32, head: u32, c4: u32) -> vec4f {
  if (key >= u.keys || c4 >= D4) {
    return vec4f(0.0);
  }
  return unpack(v[(image * u.keys + key) * u.n4 + head * D4 + c4]);
}

@compute @workgroup_size(THREADS)
fn attention(@builtin(workgroup_id) group: vec3u, me: Thread) {
  let thread = threadIndex(me);
  let image = group.z;
  let head = group.y;
  let lane = thread % SPLIT;
  let firstQuery = (u.firstBlock + group.x) * (THREADS / SPLIT);
  let query = firstQuery + thread / SPLIT;
  let row = (image * u.queries + min(query, u.queries - 1u)) * u.n4 + head * D4;

  var mine: array<vec4f, OWN>;
  var sum: array<vec4f, OWN>;
  for (var i = 0u; i < OWN; i++) { // @unroll
    let c4 = i * SPLIT + lane;
    if (c4 < D4) {
      mine[i] = unpack(q[row + c4]) * u.scale;
    }
  }

  var most = NEVER;
  var weights = 0.0;
  var end = u.keys;
  if (CAUSAL) {
    end = min(end, firstQuery + THREADS / SPLIT);
  }
  for (var key0 = 0u; key0 < end; key0 += KEYS) {
    workgroupBarrier();
    for (var i = thread; i < KEYS * ROW; i += THREADS) {
      tileK[i] = fetchK(image, key0 + i / ROW, head, i % ROW);
      if (!SHARED) {
        tileV[i] = fetchV(image, key0 + i / ROW, head, i % ROW);
      }
    }
    workgroupBarrier();

    for (var key = 0u; key < KEYS; key += 4u) {
      var s = vec4f(0.0);
      for (var i = 0u; i < OWN; i++) { // @unroll
        let at = key * ROW + i * SPLIT + lane;
        s += vec4f(
          dot(mine[i], tileK[at]),
          dot(mine[i], tileK[at + ROW]),
          dot(mine[i], tileK[at + 2u * ROW]),
          dot(mine[i], tileK[at + 3u * ROW]),
        );
      }
      s = neighbourSum(s, me);

      let at4 = key0 + key + vec4u(0u, 1u, 2u, 3u);
      s = select(s, vec4f(NEVER), at4 >= vec4u(u.keys));
      if (CAUSAL) {
        s = select(s, vec4f(NEVER), at4 > vec4u(query));
      }
      let most4 = max(max(s.x, s.y), max(s.z, s.w));
      let newMost = max(most, most4);
      let p = exp2(s - newMost);
      let keep = exp2(most - newMost);
      most = newMost;
      weights = weights * keep + p.x + p.y + p.z + p.w;

      if (SHARED) {
        for (var i = thread; i < KEYS * ROW; i += THREADS) {
          tileK[i] = fetchV(image, key0 + i / ROW, head, i % ROW);
        }
        workgroupBarrier();
        for (var i = 0u; i < OWN; i++) { // @unroll
          let at = i * SPLIT + lane;
          sum[i] = sum[i] * keep + p.x * tileK[at] + p.y * tileK[at + ROW]
            + p.z * tileK[at + 2u * ROW] + p.w * tileK[at + 3u * ROW];
        }
      } else {
        for (var i = 0u; i < OWN; i++) { // @unroll
          let at = key * ROW + i * SPLIT + lane;
          sum[i] = sum[i] * keep + p.x * tileV[at] + p.y * tileV[at + ROW]
            + p.z * tileV[at + 2u * ROW] + p.w * tileV[at + 3u * ROW];
        }
      }
    }
  }

  if (query < u.queries) {
    for (var i = 0u; i < OWN; i++) { // @unroll
      let c4 = i * SPLIT + lane;
      if (c4 < D4) {
        out[row + c4] = pack(sum[i] / weights);
      }
    }
  }
}
