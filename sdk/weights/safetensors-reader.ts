import { SDError } from '../errors.ts';
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
    const cursor = new Cursor(source, signal);
    try {
      const first8 =
        size !== undefined && size < 8 ? new Uint8Array(size) : await cursor.read(0, 8);
      const length = headerLength(first8, size);
      const bytes = new Uint8Array(8 + length);
      bytes.set(first8);
      bytes.set(await cursor.read(8, length), 8);
      return new SafetensorsReader(source, parseHeader(bytes, size));
    } catch (error) {
      if (error instanceof SDError && error.code === 'INVALID_FILE')
        throw new SDError('INVALID_FILE', `${source.name}: ${error.message}`, { cause: error });
      throw error;
    } finally {
      await cursor.close();
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

  async read(name: string, options?: ReadOptions): Promise<RawTensor> {
    for await (const tensor of this.tensors([name], options)) return tensor;
    throw noTensor(this.#source.name, name);
  }

  async *tensors(
    names: Iterable<string> = this.names(),
    options: ReadOptions = {},
  ): AsyncIterable<RawTensor> {
    const { tensors } = this.#header;
    const wanted = new Set(names);
    for (const name of wanted) if (!tensors.has(name)) throw noTensor(this.#source.name, name);

    const cursor = new Cursor(this.#source, options.signal);
    try {
      for (const [name, { dtype, shape, begin }] of tensors) {
        if (!wanted.has(name)) continue;
        const length = byteLength({ dtype, shape });
        const bytes = await cursor.read(begin, length, options.onBytes);
        yield { name, dtype, shape, bytes };
      }
    } finally {
      await cursor.close();
    }
  }
}

export function noTensor(file: string, name: string): SDError {
  return new SDError('INVALID_FILE', `${file} holds no tensor ${JSON.stringify(name)}.`);
}
