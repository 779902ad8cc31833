/**
 * Runs golden files of random numbers: torch's CPU generator bit for bit, NumPy's `RandomState`,
 * and CUDA's Philox as emulated in f32.
 */
import { createHash } from 'node:crypto';
import { NumpyGenerator } from '../../sdk/random/numpy.ts';
import { philox, PhiloxGenerator } from '../../sdk/random/philox.ts';
import { TorchGenerator } from '../../sdk/random/torch-cpu.ts';
import type { Report, Unsupported } from './golden-report.ts';

interface Draw {
  seed: string | number;
  n: number;
  u32: number[];
}
interface HashedDraw {
  seed: string | number;
  shape: number[];
  sha256_le_f32: string;
}

/** Philox goes through `log` and `sin`, which NumPy's SIMD build rounds differently by an ulp. */
const PHILOX_TOLERANCE = 1e-6;

export async function run(json: unknown, report: Report, unsupported: Unsupported): Promise<void> {
  for (const [key, value] of Object.entries(json as Record<string, never>)) {
    if (key === 'note') continue;
    else if (key === 'randn') drawCases(value, 'randn', report);
    else if (key === 'rand') drawCases(value, 'rand', report);
    else if (key === 'sha') hashCases(value, report);
    else if (key.startsWith('sequence_')) sequenceCase(key, value, report);
    else if (key.startsWith('numpy_')) numpyCases(value, report);
    else if (key.startsWith('philox_raw_block')) rawBlockCases(key, value, report);
    else if (key.startsWith('philox_')) philoxCases(value, report);
    else unsupported(key, 'no such kind of random number is known');
  }
}

function drawCases(draws: Draw[], method: 'rand' | 'randn', report: Report): void {
  for (const { seed, n, u32 } of draws) {
    const drawn = new TorchGenerator(BigInt(seed))[method]([n]);
    report(`${method} seed ${seed} n ${n}`, differingBits(drawn, u32), 0);
  }
}

function hashCases(draws: HashedDraw[], report: Report): void {
  for (const { seed, shape, sha256_le_f32 } of draws) {
    const drawn = new TorchGenerator(BigInt(seed)).randn(shape);
    const hash = createHash('sha256').update(new Uint8Array(drawn.buffer)).digest('hex');
    report(`sha256 seed ${seed} shape ${shape.join('×')}`, hash === sha256_le_f32 ? 0 : 1, 0);
  }
}

/** `sequence_seed42_3_16_2_64`: one generator draws 3, 16, 2 and 64 values in turn. */
function sequenceCase(key: string, parts: Record<string, number[]>, report: Report): void {
  const seed = /seed(\d+)/.exec(key)?.[1] ?? '0';
  const generator = new TorchGenerator(BigInt(seed));
  for (const [name, u32] of Object.entries(parts)) {
    report(`${key} part ${name}`, differingBits(generator.randn([u32.length]), u32), 0);
  }
}

function numpyCases(bySeed: Record<string, number[]>, report: Report): void {
  for (const [seed, expected] of Object.entries(bySeed)) {
    const generator = new NumpyGenerator(BigInt(seed));
    const differing = expected.filter((value) => generator.normal() !== value).length;
    report(`numpy seed ${seed}`, differing, 0);
  }
}

function philoxCases(bySeed: Record<string, number[]>, report: Report): void {
  for (const [seed, expected] of Object.entries(bySeed)) {
    const drawn = new PhiloxGenerator(BigInt(seed)).randn([1, 4, 64, 64]);
    const error = Math.max(...expected.map((value, i) => Math.abs(value - drawn[i])));
    report(`philox seed ${seed}`, error, PHILOX_TOLERANCE);
  }
}

/** `philox_raw_block_idx0_offset0`: the four words of one counter. */
function rawBlockCases(key: string, bySeed: Record<string, number[]>, report: Report): void {
  const index = Number(/idx(\d+)/.exec(key)?.[1] ?? 0);
  const offset = Number(/offset(\d+)/.exec(key)?.[1] ?? 0);
  for (const [seed, expected] of Object.entries(bySeed)) {
    const bits = BigInt(seed);
    const words = philox([offset, 0, index, 0], [Number(bits & 0xffffffffn), Number(bits >> 32n)]);
    const differing = expected.filter((word, i) => words[i] !== word).length;
    report(`philox words seed ${seed} index ${index} offset ${offset}`, differing, 0);
  }
}

function differingBits(drawn: Float32Array, expected: readonly number[]): number {
  const bits = new Uint32Array(drawn.buffer);
  if (bits.length !== expected.length) return Math.abs(bits.length - expected.length);
  return expected.filter((word, i) => bits[i] !== word).length;
}
