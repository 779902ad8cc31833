import { SDError } from '../../errors.ts';
import { sizeOf } from '../../graph/tensor.ts';
import { readTensor } from '../../weights/half.ts';
import { noTensor } from '../../weights/safetensors-reader.ts';
import { Cursor, type ByteSource } from '../../weights/source.ts';
import {
  DTYPE_BITS,
  type RawTensor,
  type ReadOptions,
  type TensorInfo,
  type TensorReader,
} from '../../weights/tensor.ts';
import { openLegacy } from './legacy.ts';
import { unpickle, PickleEnds } from './pickle.ts';
import { invalid, namedTensors, torchHooks, type TensorRef } from './tensors.ts';
import { dataOffset, LOCAL_HEADER, readMember, readZip, type ZipEntry } from './zip.ts';

const MAX_PICKLE = 64 * 1024 * 1024;

/** Where the bytes of a storage lie. */
export interface StoragePlace {
  /** Of the storage, or of the zip header before it, whose length is not known yet. */
  readonly begin: number;
  readonly size: number;
  readonly entry?: ZipEntry;
}

/** A torch checkpoint (`.ckpt`, `.pt`, `.pth`, `.bin`), read tensor by tensor. Nothing in it runs. */
export class TorchReader implements TensorReader {
  readonly #source: ByteSource;
  readonly #fileSize: number;
  readonly #tensors: ReadonlyMap<string, TensorRef>;
  readonly #places: ReadonlyMap<string, StoragePlace>;
  /** Numbers at the top of the checkpoint, such as `global_step`. */
  readonly metadata: ReadonlyMap<string, string>;

  private constructor(
    source: ByteSource,
    fileSize: number,
    root: ReturnType<typeof namedTensors>,
    places: ReadonlyMap<string, StoragePlace>,
  ) {
    this.#source = source;
    this.#fileSize = fileSize;
    this.#tensors = root.tensors;
    this.#places = places;
    this.metadata = root.numbers;
    for (const [name, { storage }] of root.tensors) {
      const place = places.get(storage.key);
      const bits = storage.dtype === undefined ? 8 : DTYPE_BITS.get(storage.dtype)!;
      const end = ((storage.offset + storage.count) * bits) / 8;
      if (!place || end > place.size)
        throw invalid(`no data for ${JSON.stringify(name)} (storage ${storage.key})`);
    }
  }

  /** @throws SDError INVALID_FILE, UNSUPPORTED_FORMAT; whatever the source throws. */
  static async open(source: ByteSource, signal?: AbortSignal): Promise<TorchReader> {
    const size = await source.size(signal);
    if (size === undefined)
      throw new SDError(
        'UNSUPPORTED_FORMAT',
        `${source.name}: a torch checkpoint is read from its end, and the server does not tell its size. Download the file and pick it.`,
      );
    const head = await source.read(0, Math.min(size, 4), signal);
    if (head[0] === 0x80) {
      const { root, places } = await openLegacy(source, size, signal);
      return new TorchReader(source, size, namedTensors(root), places);
    }
    const entries = await readZip(source, size, signal);
    const pickle = [...entries.values()].find(({ name }) => /(^|\/)data\.pkl$/.test(name));
    if (!pickle) throw invalid('no data.pkl: it is a zip file of something else');
    const folder = pickle.name.slice(0, -'data.pkl'.length);
    await checkByteOrder(source, entries.get(`${folder}byteorder`), size, signal);
    const bytes = await readEntry(source, pickle, size, MAX_PICKLE, signal);
    let root;
    try {
      root = unpickle(bytes, torchHooks).value;
    } catch (error) {
      if (error instanceof PickleEnds) throw invalid('a data.pkl that is cut off');
      throw error;
    }
    const places = new Map<string, StoragePlace>();
    for (const entry of entries.values())
      if (entry.name.startsWith(`${folder}data/`))
        places.set(entry.name.slice(`${folder}data/`.length), {
          begin: entry.headerOffset,
          size: entry.size,
          entry,
        });
    return new TorchReader(source, size, namedTensors(root), places);
  }

  names(): Iterable<string> {
    return this.#tensors.keys();
  }

  info(name: string): TensorInfo | undefined {
    const ref = this.#tensors.get(name);
    return ref && { dtype: ref.dtype, shape: ref.shape };
  }

  async *tensors(
    names: Iterable<string> = this.names(),
    options: ReadOptions = {},
  ): AsyncIterable<RawTensor> {
    const wanted: { name: string; ref: TensorRef; place: StoragePlace }[] = [];
    for (const name of new Set(names)) {
      const ref = this.#tensors.get(name);
      if (!ref) throw noTensor(this.#source.name, name);
      wanted.push({ name, ref, place: this.#places.get(ref.storage.key)! });
    }
    wanted.sort((a, b) => a.place.begin - b.place.begin || firstByte(a.ref) - firstByte(b.ref));

    const pieces = wanted.map(({ ref, place }) => ({
      begin: place.begin,
      end: Math.min(this.#fileSize, place.begin + longestHeader(place) + lastByte(ref)),
    }));
    const cursor = new Cursor(this.#source, pieces, options.signal);
    const starts = new Map<StoragePlace, number>();
    try {
      for (const { name, ref, place } of wanted) {
        const { dtype, shape } = ref;
        let start = starts.get(place);
        if (start === undefined) {
          start = await this.#start(cursor, place);
          starts.set(place, start);
        }
        const length = spanBytes(ref);
        const begin = start + firstByte(ref);
        // What is strided is put in order first, as it is.
        const how = isContiguous(ref) ? options : { ...options, halves: undefined };
        const span = await readTensor(cursor, { name, dtype, shape }, begin, length, how);
        yield { ...span, bytes: gather(ref, span.bytes) };
      }
    } finally {
      await cursor.close();
    }
  }

  /** Where a storage's data starts. Local headers are read on the way, not one by one before. */
  async #start(cursor: Cursor, { begin, entry }: StoragePlace): Promise<number> {
    if (!entry) return begin;
    return dataOffset(await cursor.read(begin, LOCAL_HEADER), entry, this.#fileSize);
  }
}

/** Of a zip member: the header proper, a name and the extra field that aligns the data. */
function longestHeader({ entry }: StoragePlace): number {
  return entry ? LOCAL_HEADER + 2 * 65535 : 0;
}

function lastByte(ref: TensorRef): number {
  return firstByte(ref) + spanBytes(ref);
}

function firstByte({ storage, dtype, offset }: TensorRef): number {
  const element = DTYPE_BITS.get(dtype)! / 8;
  const base = storage.dtype === undefined ? storage.offset : storage.offset * element;
  return base + offset * element;
}

/** Bytes from the first to the last element. */
function spanBytes({ dtype, shape, strides }: TensorRef): number {
  if (sizeOf(shape) === 0) return 0;
  const span = shape.reduce((last, n, i) => last + (n - 1) * strides[i], 1);
  return (span * DTYPE_BITS.get(dtype)!) / 8;
}

function isContiguous({ shape, strides }: TensorRef): boolean {
  let expected = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] !== 1 && strides[i] !== expected) return false;
    expected *= shape[i];
  }
  return true;
}

/** The elements of a strided view in C order. */
function gather(ref: TensorRef, span: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (isContiguous(ref)) return span;
  const { dtype, shape, strides } = ref;
  const element = DTYPE_BITS.get(dtype)! / 8;
  const out = new Uint8Array(sizeOf(shape) * element);
  const index = new Array<number>(shape.length).fill(0);
  let from = 0;
  for (let at = 0; at < out.length; at += element) {
    for (let b = 0; b < element; b++) out[at + b] = span[from * element + b];
    for (let i = shape.length - 1; i >= 0; i--) {
      from += strides[i];
      if (++index[i] < shape[i]) break;
      from -= shape[i] * strides[i];
      index[i] = 0;
    }
  }
  return out;
}

async function readEntry(
  source: ByteSource,
  entry: ZipEntry,
  fileSize: number,
  limit: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array<ArrayBuffer>> {
  if (entry.size > limit) throw invalid(`a ${entry.name} of ${entry.size} bytes`);
  return readMember(source, entry, fileSize, signal);
}

async function checkByteOrder(
  source: ByteSource,
  entry: ZipEntry | undefined,
  fileSize: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (!entry) return;
  const text = new TextDecoder().decode(await readEntry(source, entry, fileSize, 64, signal));
  if (text.trim() !== 'little')
    throw new SDError('UNSUPPORTED_FORMAT', 'This checkpoint was written on a big-endian machine.');
}
