import { checksum } from './checksum.ts';
import { sha256 } from './hash.ts';
import type { Piece, StoredItem } from './record.ts';

/** Bytes of a shard: throughput no longer grows past this, and progress stays fine-grained. */
export const SHARD_BYTES = 32 * 1024 * 1024;
/** Blocks start at multiples of this, so that any typed array may lie over them. */
const ALIGNMENT = 16;

/** A full shard, and the items whose last byte is in it. */
export interface FullShard {
  readonly hash: string;
  readonly checksum: string;
  readonly blob: Blob;
  readonly items: ReadonlyMap<string, StoredItem>;
}

/** Where blocks lie in bytes that have no hash yet. */
type Layout = readonly { readonly offset: number; readonly length: number }[];

/**
 * Lays items one after another into shards of half to all of the capacity. An item of more than half
 * of it has a shard to itself, of up to twice the capacity, so that only what is larger still is cut and
 * must be joined again in every load. One shard is committed while the next is filled.
 */
export class ShardWriter {
  readonly #commit: (shard: FullShard) => Promise<void>;
  readonly #capacity: number;
  readonly #buffer: Uint8Array<ArrayBuffer>;
  #used = 0;
  #items: { readonly name: string; readonly meta: unknown; readonly layout: Layout }[] = [];
  #committing: Promise<void> = Promise.resolve();

  constructor(commit: (shard: FullShard) => Promise<void>, capacity = SHARD_BYTES) {
    this.#commit = commit;
    this.#capacity = capacity;
    this.#buffer = new Uint8Array(capacity);
  }

  /** The blocks may change once this has resolved. */
  async add(name: string, meta: unknown, blocks: readonly Uint8Array[]): Promise<void> {
    const size = blocks.reduce((sum, { length }) => sum + padded(length), 0);
    if (size > this.#capacity / 2) return this.#addAlone(name, meta, blocks, size);
    if (size > this.#capacity - this.#used) await this.#close();
    const layout = layOut(blocks, this.#used);
    layout.forEach(({ offset }, i) => this.#buffer.set(blocks[i], offset));
    this.#used += size;
    this.#items.push({ name, meta, layout });
  }

  /** Commits what is left and waits for all of it. */
  async flush(): Promise<void> {
    if (this.#items.length > 0) await this.#close();
    await this.#committing;
  }

  async #addAlone(
    name: string,
    meta: unknown,
    blocks: readonly Uint8Array[],
    size: number,
  ): Promise<void> {
    const layout = layOut(blocks, 0);
    let bytes = blocks[0] as Uint8Array<ArrayBuffer>;
    if (blocks.length > 1 || bytes.byteOffset % ALIGNMENT > 0) {
      bytes = new Uint8Array(size);
      layout.forEach(({ offset }, i) => bytes.set(blocks[i], offset));
    }
    const count = Math.ceil(bytes.length / (2 * this.#capacity));
    const step = padded(Math.ceil(bytes.length / count));
    const pieces = layout.map((): Piece[] => []);
    for (let begin = 0; begin < bytes.length; begin += step) {
      const end = Math.min(begin + step, bytes.length);
      await this.#put(bytes.subarray(begin, end), (shard) => {
        layout.forEach(({ offset, length }, i) => {
          const [from, to] = [Math.max(begin, offset), Math.min(end, offset + length)];
          if (from < to) pieces[i].push({ shard, offset: from - begin, length: to - from });
        });
        return end < bytes.length ? [] : [[name, { meta, blocks: pieces }]];
      });
    }
  }

  async #close(): Promise<void> {
    const [items, bytes] = [this.#items, this.#buffer.subarray(0, this.#used)];
    await this.#put(bytes, (shard) =>
      items.map(({ name, meta, layout }) => {
        const blocks = layout.map(({ offset, length }) =>
          length > 0 ? [{ shard, offset, length }] : [],
        );
        return [name, { meta, blocks }];
      }),
    );
    this.#items = [];
    this.#used = 0;
  }

  /** Has copied the bytes once it resolves. Throws what the commit before it threw. */
  async #put(
    bytes: Uint8Array<ArrayBuffer>,
    itemsIn: (shard: string) => [string, StoredItem][],
  ): Promise<void> {
    await this.#committing;
    const hash = await sha256(bytes);
    this.#committing = this.#commit({
      hash,
      checksum: checksum(bytes),
      blob: new Blob([bytes]),
      items: new Map(itemsIn(hash)),
    });
    // A failure is thrown where it is awaited.
    this.#committing.catch(() => {});
  }
}

function layOut(blocks: readonly Uint8Array[], begin: number): Layout {
  let offset = begin;
  return blocks.map(({ length }) => {
    const place = { offset, length };
    offset += padded(length);
    return place;
  });
}

/** Where the next block may begin. */
export function padded(length: number): number {
  return Math.ceil(length / ALIGNMENT) * ALIGNMENT;
}
