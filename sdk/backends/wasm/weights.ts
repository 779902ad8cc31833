import { SDError } from '../../errors.ts';
import { sameShape, sizeOf, type Param } from '../../graph/index.ts';
import { DTYPE_F16, DTYPE_F32, DTYPE_I8 } from '../../../wasm/engine/layout.ts';
import type { PackedParam, WeightDtype, Weights } from '../backend.ts';
import type { LinearMemory } from './memory.ts';

/** Where a parameter lies in linear memory. */
export interface ResidentParam {
  readonly address: number;
  readonly bytes: number;
  readonly dtype: number;
  /** Address of the column scales of int8, or 0. */
  readonly scales: number;
}

const ELEMENT_BYTES: Record<WeightDtype, number> = { f32: 4, f16: 2, i8: 1 };
const DTYPES: Record<WeightDtype, number> = { f32: DTYPE_F32, f16: DTYPE_F16, i8: DTYPE_I8 };

export class WasmWeights implements Weights {
  readonly #memory: LinearMemory;
  readonly #declared: ReadonlyMap<string, Param>;
  readonly #resident = new Map<string, ResidentParam>();
  readonly #blocks: { address: number; bytes: number }[] = [];
  bytes = 0;

  /** @throws SDError `OUT_OF_MEMORY` before anything is loaded, if the whole does not fit. */
  constructor(memory: LinearMemory, params: Iterable<Param>, dtype: WeightDtype) {
    this.#memory = memory;
    this.#declared = new Map([...params].map((param) => [param.name, param]));
    let total = 0;
    for (const param of this.#declared.values()) total += bytesOf(param, dtype) + 64;
    memory.reserve(total);
  }

  set(param: PackedParam): Promise<void> {
    const declared = this.#declared.get(param.name);
    if (!declared || declared.kind !== param.kind || !sameShape(declared.shape, param.shape))
      throw new SDError(
        'WEIGHTS_MISMATCH',
        declared
          ? `Parameter ${param.name} is [${param.shape}]; the model wants [${declared.shape}].`
          : `The model has no parameter ${param.name}.`,
      );
    const expected = bytesOf(declared, param.dtype);
    if (
      param.data.byteLength !== expected ||
      (param.dtype === 'i8') !== (param.scales !== undefined)
    )
      throw new SDError(
        'WEIGHTS_MISMATCH',
        `Parameter ${param.name} is ${param.data.byteLength} bytes of ${param.dtype}, not ${expected}.`,
      );
    if (this.#resident.has(param.name))
      throw new SDError('INTERNAL', `Parameter ${param.name} was set twice.`);
    const address = this.#take(param.data);
    const scales = param.scales ? this.#take(bytesView(param.scales)) : 0;
    this.#resident.set(param.name, {
      address,
      bytes: expected,
      dtype: DTYPES[param.dtype],
      scales,
    });
    return Promise.resolve();
  }

  /** @throws SDError `WEIGHTS_MISMATCH` if the parameter was never set. */
  get(param: Param): ResidentParam {
    const found = this.#resident.get(param.name);
    if (!found || !sameShape(this.#declared.get(param.name)?.shape ?? [], param.shape))
      throw new SDError('WEIGHTS_MISMATCH', `Parameter ${param.name} [${param.shape}] is missing.`);
    return found;
  }

  dispose(): void {
    for (const { address, bytes } of this.#blocks) this.#memory.free(address, bytes);
    this.#blocks.length = 0;
    this.#resident.clear();
    this.bytes = 0;
  }

  #take(data: Uint8Array): number {
    const address = this.#memory.allocate(data.byteLength);
    this.#memory.bytes(address, data.byteLength).set(data);
    this.#blocks.push({ address, bytes: data.byteLength });
    this.bytes += data.byteLength;
    return address;
  }
}

function bytesView(data: Float32Array): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** Bytes of a packed parameter; see PackedParam for the layouts. */
function bytesOf({ kind, shape }: Param, dtype: WeightDtype): number {
  if (kind === 'vector') return sizeOf(shape) * 4;
  if (kind === 'table') return sizeOf(shape) * (dtype === 'f32' ? 4 : 2);
  const [n, ...rest] = shape;
  return Math.ceil(n / 8) * 8 * sizeOf(rest) * ELEMENT_BYTES[dtype];
}
