import { checksum } from './checksum.ts';
import { sha256 } from './hash.ts';
import type { Piece, StoredItem } from './record.ts';

/** Bytes of a shard: throughput no longer grows past this, and progress stays fine-grained. */
export const SHARD_BYTES = 32 * 1024 * 1024;
/** A shard is closed early, from half its size, rather than cutting an item in two. */
const EARLY = SHARD_BYTES / 2;
/** Blocks start at multiples of this, so that any typed array may lie over them. */
const ALIGNMENT = 16;

/** A full shard, and the items whose last byte is in it. */
export interface FullShard {
  readonly hash: string;
  readonly checksum: string;
  /** Valid until the commit resolves: the next shard is built in the same memory. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly items: ReadonlyMap<string, StoredItem>;
}

interface OpenItem {
  readonly name: string;
  readonly meta: unknown;
  /** Pieces of the shard being filled have no hash yet. */
  readonly blocks: { shard: string | undefined; offset: number; length: number }[][];
}

/**
 * Lays items one after another into shards. While one shard is committed the next is filled: two
 * buffers of {@link SHARD_BYTES}, never more.
 */
export class ShardWriter {
  readonly #commit: (shard: FullShard) => Promise<void>;
  readonly #capacity: number;
  #buffer: Uint8Array<ArrayBuffer>;
  #spare: Uint8Array<ArrayBuffer> | undefined;
  #used = 0;
  #done: OpenItem[] = [];
  #open: OpenItem | undefined;
  #committing: Promise<void> = Promise.resolve();

  constructor(commit: (shard: FullShard) => Promise<void>, capacity = SHARD_BYTES) {
    this.#commit = commit;
    this.#capacity = capacity;
    this.#buffer = new Uint8Array(capacity);
  }

  async add(name: string, meta: unknown, blocks: readonly Uint8Array[]): Promise<void> {
    const size = blocks.reduce((sum, block) => sum + padded(block.length), 0);
    const early = Math.min(EARLY, this.#capacity / 2);
    if (this.#used > early && size > this.#capacity - this.#used) await this.#close();
    this.#open = { name, meta, blocks: [] };
    for (const block of blocks) await this.#write(block);
    this.#done.push(this.#open);
    this.#open = undefined;
  }

  /** Commits what is left and waits for all of it. */
  async flush(): Promise<void> {
    this.#open = undefined;
    if (this.#done.length > 0) await this.#close();
    await this.#committing;
  }

  async #write(block: Uint8Array): Promise<void> {
    const pieces: OpenItem['blocks'][number] = [];
    this.#open!.blocks.push(pieces);
    this.#used = padded(this.#used);
    for (let at = 0; at < block.length;) {
      if (this.#used >= this.#capacity) await this.#close();
      const length = Math.min(block.length - at, this.#capacity - this.#used);
      this.#buffer.set(block.subarray(at, at + length), this.#used);
      pieces.push({ shard: undefined, offset: this.#used, length });
      this.#used += length;
      at += length;
    }
  }

  /** Hashes and commits the buffer. */
  async #close(): Promise<void> {
    await this.#committing;
    const [buffer, used, done] = [this.#buffer, this.#used, this.#done];
    this.#buffer = this.#spare ?? new Uint8Array(this.#capacity);
    this.#spare = undefined;
    this.#used = 0;
    this.#done = [];
    const bytes = buffer.subarray(0, used);
    const hash = await sha256(bytes);
    const named = this.#open ? [...done, this.#open] : done;
    for (const { blocks } of named)
      for (const pieces of blocks) for (const piece of pieces) piece.shard ??= hash;
    const items = new Map(
      done.map(({ name, meta, blocks }) => [name, { meta, blocks: blocks as Piece[][] }]),
    );
    this.#committing = this.#commit({ hash, checksum: checksum(bytes), bytes, items }).finally(
      () => {
        this.#spare = buffer;
      },
    );
    // A failure is thrown where it is awaited.
    this.#committing.catch(() => {});
  }
}

/** Where the next block may begin. */
export function padded(length: number): number {
  return Math.ceil(length / ALIGNMENT) * ALIGNMENT;
}
