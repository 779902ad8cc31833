import { SDError } from '../errors.ts';
import { checksum } from './checksum.ts';
import { holdLock } from './locks.ts';
import type { ModelCache } from './model-cache.ts';
import type { Group, Piece, StoredItem } from './record.ts';
import { padded, SHARD_BYTES, ShardWriter } from './shard-writer.ts';

/** A named thing to keep: plain data that describes it, and its blocks of bytes. */
export interface Item {
  readonly name: string;
  readonly meta: unknown;
  /** Given back aligned to 16 bytes; valid until the next item is asked for. */
  readonly blocks: readonly Uint8Array[];
}

export interface ItemsOptions {
  readonly signal?: AbortSignal;
  /** Called with the bytes that came from the cache, verified. */
  readonly onBytes?: (count: number) => void;
}

/**
 * One model's place in the cache, read through: what is there is verified and given, what is not is
 * asked of its source, given and kept.
 */
export class CachedModel {
  readonly #cache: ModelCache;
  readonly #model: { readonly key: string; readonly name: string };
  readonly #shardBytes: number | undefined;
  /** Once a session is enough to know when a model was used. */
  #touched: Promise<void> | undefined;

  /**
   * @param key tells this model from all others: its source, and how it is imported.
   * @param name for people.
   */
  constructor(
    cache: ModelCache,
    model: { key: string; name: string },
    options: { shardBytes?: number } = {},
  ) {
    this.#cache = cache;
    this.#model = model;
    this.#shardBytes = options.shardBytes;
  }

  /** A small text; `load` gives undefined where there is none, which is kept as well. */
  async text(path: string, load: () => Promise<string | undefined>): Promise<string | undefined> {
    const known = await this.#cache.text(this.#model.key, path);
    if (known !== undefined) return known ?? undefined;
    const value = await load();
    await this.#cache.setText(this.#model.key, path, value ?? null);
    return value;
  }

  /**
   * The named items of a group, each once: first those that are stored, then the rest as `load`
   * gives them. Two tabs that want the same group do not fetch it twice.
   *
   * @throws SDError INTEGRITY where the source no longer gives what was stored of it before;
   *   nothing old is left then, and the same call can be made again. And whatever `load` throws.
   */
  async *items(
    group: string,
    names: Iterable<string>,
    load: (missing: readonly string[]) => AsyncIterable<Item>,
    options: ItemsOptions = {},
  ): AsyncIterable<Item> {
    const { key } = this.#model;
    const missing = new Set(names);
    let release: (() => void) | undefined;
    try {
      let stored = await this.#present(group, missing);
      if (stored.items.size < missing.size && this.#cache.available) {
        release = await holdLock(`stable-diffusion-web/${key}`, options.signal);
        stored = await this.#present(group, missing);
      }
      for await (const item of this.#read(stored, options)) {
        // Not before: reads wait for it.
        this.#touched ??= this.#cache.touch(key);
        missing.delete(item.name);
        yield item;
      }
      for (const name of missing) stored.items.delete(name);
      if (missing.size === 0) return;
      release ??= await holdLock(`stable-diffusion-web/${key}`, options.signal);
      yield* this.#import(group, missing, stored, load);
    } finally {
      await this.#touched;
      release?.();
    }
  }

  /** The wanted items whose shards are all there. */
  async #present(group: string, wanted: ReadonlySet<string>): Promise<Group> {
    const known = (await this.#cache.record(this.#model.key))?.groups.get(group);
    const present: Group = { shards: known?.shards ?? new Map(), items: new Map() };
    if (!known) return present;
    const keys = await this.#cache.shardKeys();
    for (const [name, item] of known.items)
      if (wanted.has(name) && item.blocks.flat().every(({ shard }) => keys.has(shard)))
        present.items.set(name, item);
    return present;
  }

  /** Stored items in the order of their shards; items of a shard that fails its hash are left out. */
  async *#read(stored: Group, { signal, onBytes }: ItemsOptions): AsyncIterable<Item> {
    const ordered = inShardOrder(stored);
    const shards = new ShardReader(this.#cache, stored.shards, neededShards(ordered), onBytes);
    const joiner = new Joiner();
    for (const [name, item] of ordered) {
      if (signal?.aborted)
        throw new SDError('ABORTED', 'The load was aborted.', { cause: signal.reason });
      const blocks: Uint8Array[] = [];
      joiner.begin(item.blocks.reduce((sum, pieces) => sum + padded(bytesOf(pieces)), 0));
      for (const pieces of item.blocks) {
        const parts: (Uint8Array | undefined)[] = [];
        for (const { shard, offset, length } of pieces)
          parts.push((await shards.get(shard))?.subarray(offset, offset + length));
        if (parts.every((part) => part !== undefined)) blocks.push(joiner.join(parts));
      }
      if (blocks.length === item.blocks.length) yield { name, meta: item.meta, blocks };
    }
  }

  /** Items from the source, kept on the way. */
  async *#import(
    group: string,
    missing: ReadonlySet<string>,
    stored: Group,
    load: (missing: readonly string[]) => AsyncIterable<Item>,
  ): AsyncIterable<Item> {
    const { key, name: modelName } = this.#model;
    const writer = new ShardWriter(
      (shard) => this.#cache.commit({ key, name: modelName }, group, shard),
      this.#shardBytes,
    );
    // Half a model may be stored from a source that has changed since. Reading one small item
    // again tells.
    const probe = smallest(stored.items);
    const wanted = probe === undefined ? [...missing] : [...missing, probe];
    try {
      for await (const item of load(wanted)) {
        if (item.name === probe) await this.#compare(item, stored);
        else {
          if (this.#cache.available) await writer.add(item.name, item.meta, item.blocks);
          yield item;
        }
      }
    } finally {
      // What has come so far is kept even when the rest does not come.
      if (this.#cache.available) await writer.flush();
    }
  }

  async #compare(item: Item, { shards, items }: Group): Promise<void> {
    const one: Group = { shards, items: new Map([[item.name, items.get(item.name)!]]) };
    for await (const old of this.#read(one, {}))
      if (
        old.blocks.length === item.blocks.length &&
        old.blocks.every((block, i) => equal(block, item.blocks[i]))
      )
        return;
    await this.#cache.delete(this.#model.key);
    throw new SDError(
      'INTEGRITY',
      `${this.#model.name} is not the same any more as when part of it was stored. Load it again: it will be fetched anew.`,
      { retryable: true },
    );
  }
}

/** Bytes of shards that are read beyond the one in use; one more is always on its way. */
const READ_AHEAD = 2 * SHARD_BYTES;

/** Reads shards in order, ahead of their use, and verifies each. */
class ShardReader {
  readonly #cache: ModelCache;
  readonly #shards: Group['shards'];
  readonly #order: readonly string[];
  readonly #onBytes: ((count: number) => void) | undefined;
  /** The shards in use: an item may span two or more. */
  readonly #held = new Map<string, Promise<Uint8Array<ArrayBuffer> | undefined>>();

  constructor(
    cache: ModelCache,
    shards: Group['shards'],
    order: readonly string[],
    onBytes: ((count: number) => void) | undefined,
  ) {
    this.#cache = cache;
    this.#shards = shards;
    this.#order = order;
    this.#onBytes = onBytes;
  }

  /** Undefined where the shard is missing or damaged; it is deleted then. */
  get(hash: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const at = this.#order.indexOf(hash);
    // Items come in the order of their shards, so what lies before is done with.
    for (const old of this.#order.slice(0, at)) this.#held.delete(old);
    let bytes = 0;
    for (const [i, ahead] of this.#order.slice(at).entries()) {
      if (i > 0) bytes += this.#shards.get(ahead)!.size;
      if (i > 1 && bytes > READ_AHEAD) break;
      if (!this.#held.has(ahead)) this.#held.set(ahead, this.#verified(ahead));
    }
    return this.#held.get(hash)!;
  }

  async #verified(hash: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const wanted = this.#shards.get(hash)!;
    const bytes = await this.#cache.readShard(hash);
    if (bytes?.length === wanted.size && checksum(bytes) === wanted.checksum) {
      this.#onBytes?.(bytes.length);
      return bytes;
    }
    await this.#cache.dropShard(hash);
    return undefined;
  }
}

function inShardOrder({ shards, items }: Group): [string, StoredItem][] {
  const order = new Map([...shards.keys()].map((hash, i) => [hash, i]));
  const place = ({ blocks }: StoredItem): [number, number] => {
    const first = blocks.flat()[0];
    return first ? [order.get(first.shard)!, first.offset] : [-1, 0];
  };
  return [...items].sort(([, a], [, b]) => {
    const [shardA, offsetA] = place(a);
    const [shardB, offsetB] = place(b);
    return shardA - shardB || offsetA - offsetB;
  });
}

function neededShards(items: readonly [string, StoredItem][]): string[] {
  return [...new Set(items.flatMap(([, { blocks }]) => blocks.flat().map(({ shard }) => shard)))];
}

const bytesOf = (pieces: readonly Piece[]): number =>
  pieces.reduce((sum, { length }) => sum + length, 0);

function smallest(stored: ReadonlyMap<string, StoredItem>): string | undefined {
  let best: string | undefined;
  let least = Infinity;
  for (const [name, { blocks }] of stored) {
    const size = bytesOf(blocks.flat());
    if (size > 0 && size < least) [best, least] = [name, size];
  }
  return best;
}

/** Puts the pieces of blocks together, in memory that the next item takes over. */
class Joiner {
  #memory = new Uint8Array(0);
  #used = 0;

  /** @param bytes that the blocks of the next item have together */
  begin(bytes: number): void {
    // New memory is slow: the system clears it page by page.
    if (bytes > this.#memory.length) this.#memory = new Uint8Array(bytes);
    this.#used = 0;
  }

  join(parts: readonly Uint8Array[]): Uint8Array {
    if (parts.length === 1) return parts[0];
    const begin = this.#used;
    for (const part of parts) {
      this.#memory.set(part, this.#used);
      this.#used += part.length;
    }
    const block = this.#memory.subarray(begin, this.#used);
    this.#used = padded(this.#used);
    return block;
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
