import type { FusedGraph, Graph, Param, Tensor } from '../../graph/index.ts';
import { SDError } from '../../errors.ts';
import { PANEL, SCALE_BLOCK, type WeightDtype, type WeightDtypes } from '../backend.ts';

/**
 * How activations are stored: f32; native f16 (feature `shader-f16`); or pairs of f16 in u32, which
 * every device can do. Sums are f32 always.
 */
export type Storage = 'f32' | 'f16' | 'f16x2';

/** Bindings start at multiples of this many bytes on every device. */
export const ALIGNMENT = 256;

/** Bytes of a word: four channels. */
export function wordBytes(storage: Storage): number {
  return storage === 'f32' ? 16 : 8;
}

/** Words that hold a row of so many channels; what is left of the last word is zeros. */
export function wordsOf(channels: number): number {
  return Math.ceil(channels / 4);
}

export function alignUp(bytes: number, alignment = ALIGNMENT): number {
  return Math.ceil(bytes / alignment) * alignment;
}

/**
 * - `rows`: channels in words of the storage type.
 * - `scalars`: f32 or i32 as the caller wrote them (timesteps, token ids).
 * - `stats`: f32 words, `[batch, 2, words]`, words of x and then of skip.
 */
export type Format = 'rows' | 'scalars' | 'stats';

/** Format and size of every tensor of a model. */
export class TensorLayout {
  readonly storage: Storage;
  readonly #formats = new Map<number, Format>();
  readonly #statsWords = new Map<number, number>();
  readonly #resolve: FusedGraph['storage'];

  /** @throws SDError `INTERNAL` when a reshape would cut rows that are padded */
  constructor(graph: Graph, fused: FusedGraph, storage: Storage) {
    this.storage = storage;
    this.#resolve = fused.storage;
    for (const op of graph.ops)
      if (op.kind === 'reshape') {
        const out = graph.tensors[graph.ops.indexOf(op)];
        const whole = op.x.channels % 4 === 0 && out.channels % 4 === 0;
        if (!whole && op.x.channels !== out.channels)
          throw new SDError(
            'INTERNAL',
            `cannot view [${op.x.shape}] as [${out.shape}]: rows are padded to 4 channels`,
          );
      }
    for (const { op, out } of fused.steps) {
      if (op.kind === 'input' && op.dtype === 'i32') this.#formats.set(out.id, 'scalars');
      if (op.kind === 'sinusoid') this.#formats.set(fused.storage(op.t).id, 'scalars');
      if (op.kind === 'normStats') {
        this.#formats.set(out.id, 'stats');
        const words = wordsOf(op.x.channels) + wordsOf(op.skip?.channels ?? 0);
        this.#statsWords.set(out.id, 2 * out.shape[0] * words);
      }
    }
  }

  format(t: Tensor): Format {
    return this.#formats.get(this.#resolve(t).id) ?? 'rows';
  }

  bytes(t: Tensor): number {
    const stored = this.#resolve(t);
    switch (this.format(stored)) {
      case 'rows':
        return rowsOf(stored) * wordsOf(stored.channels) * wordBytes(this.storage);
      case 'scalars':
        return alignUp(stored.size * 4, 16);
      case 'stats':
        return this.#statsWords.get(stored.id)! * 16;
    }
  }
}

export function rowsOf(t: Tensor): number {
  return t.size / t.channels;
}

/** Where a parameter lies: buffer, bytes from its start, and the bytes before an int8's scales. */
export interface ParamSlot {
  readonly buffer: number;
  readonly offset: number;
  readonly bytes: number;
  readonly dtype: WeightDtype;
  readonly dataBytes: number;
}

/** Lays parameters into buffers of at most `maxBuffer` bytes, in the order given. */
export function layOutParams(
  params: Iterable<Param>,
  dtypes: WeightDtypes,
  maxBuffer: number,
): { slots: Map<string, ParamSlot>; buffers: number[] } {
  const slots = new Map<string, ParamSlot>();
  const buffers: number[] = [];
  for (const param of params) {
    const size = paramBytes(param, typeof dtypes === 'string' ? dtypes : dtypes(param));
    const bytes = size.data + size.scales;
    if (bytes > maxBuffer)
      throw new SDError(
        'OUT_OF_MEMORY',
        `${param.name} needs a buffer of ${bytes} bytes and this device's largest is ${maxBuffer}`,
      );
    let buffer = buffers.length - 1;
    if (buffer < 0 || buffers[buffer] + bytes > maxBuffer) {
      buffers.push(0);
      buffer++;
    }
    const offset = buffers[buffer];
    slots.set(param.name, { buffer, offset, bytes, dtype: size.dtype, dataBytes: size.data });
    buffers[buffer] = alignUp(offset + bytes);
  }
  return { slots, buffers };
}

function paramBytes(
  { kind, shape }: Param,
  dtype: WeightDtype,
): { data: number; scales: number; dtype: WeightDtype } {
  const [n, ...rest] = shape;
  const inner = rest.reduce((a, b) => a * b, 1);
  switch (kind) {
    case 'vector':
      return { data: alignUp(4 * n, 16), scales: 0, dtype: 'f32' };
    case 'table': {
      const stored = dtype === 'f32' ? 'f32' : 'f16';
      return { data: n * wordsOf(inner) * (stored === 'f32' ? 16 : 8), scales: 0, dtype: stored };
    }
    case 'matrix': {
      const columns = Math.ceil(n / PANEL) * PANEL;
      const bytes = { f32: 4, f16: 2, i8: 1 }[dtype];
      return {
        data: columns * inner * bytes,
        scales: dtype === 'i8' ? 2 * columns * Math.ceil(inner / SCALE_BLOCK) : 0,
        dtype,
      };
    }
  }
}
