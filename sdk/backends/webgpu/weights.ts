import type { Param } from '../../graph/index.ts';
import { SDError } from '../../errors.ts';
import type { PackedParam, WeightDtypes, Weights } from '../backend.ts';
import type { Device } from './device.ts';
import { layOutParams, wordsOf, type ParamSlot } from './layout.ts';
import { COPY_DST, STORAGE } from './usage.ts';

/** Bytes of a single write: small ones cost calls, large ones stall the GPU process. */
const CHUNK = 16 * 2 ** 20;
/** Bytes in flight before waiting, lest the shared memory of the GPU process balloon. */
const IN_FLIGHT = 256 * 2 ** 20;

/** Parameters of one model part in a few large buffers. */
export class WebGPUWeights implements Weights {
  readonly bytes: number;
  readonly slots: ReadonlyMap<string, ParamSlot>;
  readonly buffers: readonly GPUBuffer[];
  readonly #device: Device;
  #unwaited = 0;

  private constructor(
    device: Device,
    slots: ReadonlyMap<string, ParamSlot>,
    buffers: readonly GPUBuffer[],
  ) {
    this.#device = device;
    this.slots = slots;
    this.buffers = buffers;
    this.bytes = buffers.reduce((sum, { size }) => sum + size, 0);
  }

  /** @throws SDError `OUT_OF_MEMORY` */
  static async create(
    device: Device,
    params: Iterable<Param>,
    dtypes: WeightDtypes,
  ): Promise<WebGPUWeights> {
    const { slots, buffers } = layOutParams(params, dtypes, device.maxBuffer);
    const usage = STORAGE | COPY_DST;
    const made: GPUBuffer[] = [];
    try {
      await device.guarded(() => {
        for (const size of buffers)
          made.push(device.gpu.createBuffer({ label: 'weights', size, usage }));
      });
    } catch (error) {
      for (const buffer of made) buffer.destroy();
      throw error;
    }
    return new WebGPUWeights(device, slots, made);
  }

  async set(param: PackedParam): Promise<void> {
    this.#device.check();
    const slot = this.slots.get(param.name);
    if (!slot || slot.dtype !== param.dtype)
      throw new SDError(
        'INTERNAL',
        `no room was made for ${param.name} as ${param.dtype}${slot ? `, but as ${slot.dtype}` : ''}`,
      );
    await this.#write(slot, 0, paddedRows(param));
    if (param.scales)
      await this.#write(
        slot,
        slot.dataBytes,
        new Uint8Array(param.scales.buffer, param.scales.byteOffset, param.scales.byteLength),
      );
  }

  async #write(slot: ParamSlot, at: number, bytes: Uint8Array): Promise<void> {
    if (at + bytes.byteLength > slot.bytes)
      throw new SDError('INTERNAL', `${bytes.byteLength} bytes do not fit a slot of ${slot.bytes}`);
    const { queue } = this.#device.gpu;
    for (let from = 0; from < bytes.byteLength; from += CHUNK) {
      const part = wholeWords(bytes.subarray(from, from + CHUNK));
      queue.writeBuffer(this.buffers[slot.buffer], slot.offset + at + from, part);
      this.#unwaited += part.byteLength;
      if (this.#unwaited >= IN_FLIGHT) {
        await queue.onSubmittedWorkDone();
        this.#device.check();
        this.#unwaited = 0;
      }
    }
  }

  dispose(): void {
    for (const buffer of this.buffers) buffer.destroy();
  }
}

/** Rows of a table widened to whole words of four; all else as it is. */
function paddedRows({ kind, shape, dtype, data }: PackedParam): Uint8Array {
  const dim = shape[shape.length - 1];
  if (kind !== 'table' || dim % 4 === 0) return data;
  const element = dtype === 'f32' ? 4 : 2;
  const [from, to] = [dim * element, wordsOf(dim) * 4 * element];
  const out = new Uint8Array(shape[0] * to);
  for (let row = 0; row < shape[0]; row++)
    out.set(data.subarray(row * from, (row + 1) * from), row * to);
  return out;
}

/** Writes are multiples of 4 bytes. */
function wholeWords(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  if (bytes.byteLength % 4 === 0) return bytes as Uint8Array<ArrayBuffer>;
  const out = new Uint8Array(Math.ceil(bytes.byteLength / 4) * 4);
  out.set(bytes);
  return out;
}
