const INIT_A = 0x43b0d7e5;
const MULT_A = 0x931e8875;
const INIT_B = 0x8b51f9dd;
const MULT_B = 0x58f38ded;
const MIX_LEFT = 0xca01f9dd;
const MIX_RIGHT = 0x4973f715;

/**
 * `numpy.random.SeedSequence(entropy, spawn_key=…, pool_size=…).generate_state(count)`: seeds that
 * are well apart, from one seed and a path in a tree.
 *
 * @param entropy a non-negative seed of any size
 * @param spawnKey the path; non-negative integers below 2^53
 */
export function generateState(
  entropy: bigint,
  count: number,
  poolSize = 4,
  spawnKey: readonly number[] = [],
): Uint32Array {
  const pool = mixedPool(seedWords(entropy, poolSize, spawnKey), poolSize);
  let constant = INIT_B;
  return Uint32Array.from({ length: count }, (_, i) => {
    let value = pool[i % poolSize] ^ constant;
    constant = Math.imul(constant, MULT_B);
    value = Math.imul(value, constant);
    return value ^ (value >>> 16);
  });
}

/** The entropy's words and then the key's; a key makes NumPy fill the pool with zeros before it. */
function seedWords(entropy: bigint, poolSize: number, spawnKey: readonly number[]): number[] {
  const words = words32(entropy);
  if (spawnKey.length === 0) return words;
  while (words.length < poolSize) words.push(0);
  return [...words, ...spawnKey.flatMap((key) => words32(BigInt(key)))];
}

/** Little-endian 32-bit words, at least one. */
function words32(value: bigint): number[] {
  const words = [Number(value & 0xffffffffn)];
  for (let rest = value >> 32n; rest > 0n; rest >>= 32n) words.push(Number(rest & 0xffffffffn));
  return words;
}

function mixedPool(words: readonly number[], poolSize: number): Uint32Array {
  let constant = INIT_A;
  const hash = (word: number) => {
    let value = word ^ constant;
    constant = Math.imul(constant, MULT_A);
    value = Math.imul(value, constant);
    return value ^ (value >>> 16);
  };
  const mix = (x: number, y: number) => {
    const value = Math.imul(MIX_LEFT, x) - Math.imul(MIX_RIGHT, y);
    return (value ^ (value >>> 16)) >>> 0;
  };
  const pool = Uint32Array.from({ length: poolSize }, (_, i) => hash(words[i] ?? 0));
  for (let source = 0; source < poolSize; source++) {
    for (let target = 0; target < poolSize; target++) {
      if (source !== target) pool[target] = mix(pool[target], hash(pool[source]));
    }
  }
  for (const word of words.slice(poolSize)) {
    for (let target = 0; target < poolSize; target++) {
      pool[target] = mix(pool[target], hash(word));
    }
  }
  return pool;
}
