import { SDError } from '../../errors.ts';
import { sameShape, sizeOf, type Param } from '../../graph/index.ts';
import { DTYPE_F16, DTYPE_F32, DTYPE_I8 } from '../../../wasm/engine/layout.ts';
import {
  PANEL,
  SCALE_BLOCK,
  type PackedParam,
  type WeightDtype,
  type WeightDtypes,
  type Weights,
} from '../backend.ts';
import type { LinearMemory } from './memory.ts';

/** Where a parameter lies in linear memory. */
export interface ResidentParam {
  readonly address: number;
  readonly dtype: number;
  /** Address of the scales of int8, or 0. */
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
  constructor(memory: LinearMemory, params: Iterable<Param>, dtypes: WeightDtypes) {
    this.#memory = memory;
    this.#declared = new Map([...params].map((param) => [param.name, param]));
    let total = 0;
    for (const param of this.#declared.values()) {
      const dtype = typeof dtypes === 'string' ? dtypes : dtypes(param);
      total += bytesOf(param, dtype) + 128;
    }
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
    const given = param.data.byteLength + (param.scales?.byteLength ?? 0);
    if (given !== expected || (param.dtype === 'i8') !== (param.scales !== undefined))
      throw new SDError(
        'WEIGHTS_MISMATCH',
        `Parameter ${param.name} is ${given} bytes of ${param.dtype}, not ${expected}.`,
      );
    const old = this.#resident.get(param.name);
    if (old) {
      // Programs hold its address.
      if (old.dtype !== DTYPES[param.dtype])
        throw new SDError('INTERNAL', `Parameter ${param.name} was set again as another type.`);
      this.#memory.bytes(old.address, param.data.byteLength).set(param.data);
      if (param.scales)
        this.#memory.bytes(old.scales, param.scales.byteLength).set(bytesView(param.scales));
      return Promise.resolve();
    }
    const address = this.#take(param.data);
    const scales = param.scales ? this.#take(bytesView(param.scales)) : 0;
    this.#resident.set(param.name, {
      address,
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

function bytesView(data: Uint16Array): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** Bytes of a packed parameter with its scales; see PackedParam for the layouts. */
function bytesOf({ kind, shape }: Param, dtype: WeightDtype): number {
  if (kind === 'vector') return sizeOf(shape) * 4;
  if (kind === 'table') return sizeOf(shape) * (dtype === 'f32' ? 4 : 2);
  const [n, ...rest] = shape;
  const columns = Math.ceil(n / PANEL) * PANEL;
  const scales = dtype === 'i8' ? Math.ceil(sizeOf(rest) / SCALE_BLOCK) * 2 : 0;
  return columns * (sizeOf(rest) * ELEMENT_BYTES[dtype] + scales);
}
