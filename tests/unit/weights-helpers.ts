import { isSDError, type SDErrorCode } from '../../sdk/errors.ts';
import type { RawTensor, TensorReader } from '../../sdk/weights/tensor.ts';

export interface TestTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** A safetensors file as the reference writes it, tensors in the order given. */
export function writeSafetensors(
  tensors: Iterable<readonly [string, TestTensor]>,
  metadata?: Record<string, string>,
): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = {};
  if (metadata) header.__metadata__ = metadata;
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const [name, { dtype, shape, bytes }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [at, at + bytes.length] };
    at += bytes.length;
    parts.push(bytes);
  }
  return safetensorsFile(JSON.stringify(header), concat(parts));
}

/** Any text as the header of a file. */
export function safetensorsFile(header: string, data = new Uint8Array(0)): Uint8Array<ArrayBuffer> {
  let text = new TextEncoder().encode(header);
  const padding = (8 - (text.length % 8)) % 8;
  text = concat([text, new Uint8Array(padding).fill(0x20)]);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(text.length), true);
  return concat([length, text, data]);
}

export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export function f32(values: readonly number[], shape: readonly number[]): TestTensor {
  return { dtype: 'F32', shape, bytes: new Uint8Array(new Float32Array(values).buffer) };
}

/** A single tensor of a file. */
export async function readOne(reader: TensorReader, name: string): Promise<RawTensor> {
  for await (const tensor of reader.tensors([name])) return tensor;
  throw new Error(`${name} did not come`);
}

/** Throws unless it is given an SDError of this code whose message matches. */
export function fails(code: SDErrorCode, pattern: RegExp): (error: unknown) => boolean {
  return (error) => {
    // Without node:assert: browsers run this file too.
    if (!isSDError(error) || error.code !== code || !pattern.test(error.message))
      throw new Error(`wanted ${code} ${pattern}, got ${String(error)}`, { cause: error });
    return true;
  };
}

/** A small fast generator for test data (Steele and Vigna's splitmix32). */
export function randomInts(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
}

export function randomFloats(count: number, seed: number): Float32Array<ArrayBuffer> {
  const next = randomInts(seed);
  return Float32Array.from({ length: count }, () => next() / 2 ** 31 - 1);
}
