import { isSDError, SDError } from '../errors.ts';
import { readTensor } from './half.ts';
import { headerLength, parseHeader, type SafetensorsHeader } from './safetensors.ts';
import { Cursor, type ByteSource } from './source.ts';
import {
  byteLength,
  type RawTensor,
  type ReadOptions,
  type TensorInfo,
  type TensorReader,
} from './tensor.ts';

/** A safetensors file, read tensor by tensor. */
export class SafetensorsReader implements TensorReader {
  readonly #source: ByteSource;
  readonly #header: SafetensorsHeader;

  private constructor(source: ByteSource, header: SafetensorsHeader) {
    this.#source = source;
    this.#header = header;
  }

  /** Reads and validates the header. @throws SDError INVALID_FILE; whatever the source throws. */
  static async open(source: ByteSource, signal?: AbortSignal): Promise<SafetensorsReader> {
    const size = await source.size(signal);
    try {
      const first8 = await source.read(0, Math.min(size ?? 8, 8), signal);
      const length = headerLength(first8, size);
      const bytes = new Uint8Array(8 + length);
      bytes.set(first8);
      bytes.set(await source.read(8, 8 + length, signal), 8);
      return new SafetensorsReader(source, parseHeader(bytes, size));
    } catch (error) {
      if (isSDError(error) && error.code === 'INVALID_FILE')
        throw new SDError('INVALID_FILE', `${source.name}: ${error.message}`, { cause: error });
      throw error;
    }
  }

  get metadata(): ReadonlyMap<string, string> {
    return this.#header.metadata;
  }

  names(): Iterable<string> {
    return this.#header.tensors.keys();
  }

  info(name: string): TensorInfo | undefined {
    return this.#header.tensors.get(name);
  }

  async *tensors(
    names: Iterable<string> = this.names(),
    options: ReadOptions = {},
  ): AsyncIterable<RawTensor> {
    const { tensors } = this.#header;
    const left = new Set(names);
    for (const name of left) if (!tensors.has(name)) throw noTensor(this.#source.name, name);
    // The header lists tensors in the order of their bytes.
    const wanted = [...tensors]
      .filter(([name]) => left.has(name))
      .map(([name, { dtype, shape, begin }]) => {
        const end = begin + byteLength({ dtype, shape });
        return { name, dtype, shape, begin, end };
      });

    const cursor = new Cursor(this.#source, wanted, options.signal);
    try {
      for (const { name, dtype, shape, begin, end } of wanted) {
        yield readTensor(cursor, { name, dtype, shape }, begin, end - begin, options);
      }
    } finally {
      await cursor.close();
    }
  }
}

export function noTensor(file: string, name: string): SDError {
  return new SDError('INVALID_FILE', `${file} holds no tensor ${JSON.stringify(name)}.`);
}
