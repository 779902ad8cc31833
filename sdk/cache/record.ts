/** A run of bytes of a shard. */
export interface Piece {
  /** SHA-256 of the shard, as hex. */
  readonly shard: string;
  readonly offset: number;
  readonly length: number;
}

/** A stored item: what its owner says of it, and where each of its blocks of bytes lies. */
export interface StoredItem {
  /** Plain data of the owner: shape, dtype. */
  readonly meta: unknown;
  readonly blocks: readonly (readonly Piece[])[];
}

/** What a shard's bytes must be when they are read again. */
export interface ShardInfo {
  readonly size: number;
  /** See `checksum.ts`. */
  readonly checksum: string;
}

/** Items that were stored together, such as the UNet in f16. */
export interface Group {
  /** By SHA-256, in the order they were written. */
  readonly shards: Map<string, ShardInfo>;
  readonly items: Map<string, StoredItem>;
}

/** What is stored of one model. Nothing here says "complete": that follows from what is present. */
export interface ModelRecord {
  readonly key: string;
  /** For people: a URL or a file name. */
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly created: number;
  readonly used: number;
  readonly groups: Map<string, Group>;
}

const VERSIONS = { model: 2, shard: 1, text: 1 } as const;

/**
 * Keys carry the version of their layout, so that a later version and this one can live in one
 * database and neither takes the other's records for its own.
 */
export const keys = {
  model: (key: string): string => `model/${VERSIONS.model}/${key}`,
  shard: (hash: string): string => `shard/${VERSIONS.shard}/${hash}`,
  text: (key: string, path: string): string => `text/${VERSIONS.text}/${key}/${path}`,
};

/** The part after the prefix, or undefined for a key of another kind or version. */
export function keyRest(key: IDBValidKey, kind: keyof typeof VERSIONS): string | undefined {
  const prefix = `${kind}/${VERSIONS[kind]}/`;
  return typeof key === 'string' && key.startsWith(prefix) ? key.slice(prefix.length) : undefined;
}

/** A stored value as a record; undefined for anything else (a damaged or foreign one). */
export function asModelRecord(value: unknown): ModelRecord | undefined {
  const record = value as Partial<ModelRecord> | undefined;
  const sound =
    typeof record === 'object' &&
    record !== null &&
    typeof record.key === 'string' &&
    typeof record.used === 'number' &&
    record.groups instanceof Map &&
    [...record.groups.values()].every(isGroup);
  return sound ? (record as ModelRecord) : undefined;
}

function isGroup(group: unknown): boolean {
  const { shards, items } = group as Partial<Group>;
  return (
    shards instanceof Map &&
    items instanceof Map &&
    [...shards.values()].every(
      (shard: Partial<ShardInfo> | null) =>
        typeof shard?.size === 'number' && typeof shard.checksum === 'string',
    ) &&
    [...items.values()].every(
      (item: Partial<StoredItem>) =>
        Array.isArray(item.blocks) &&
        item.blocks.every(
          (block) =>
            Array.isArray(block) &&
            block.every(
              ({ shard, offset, length }: Piece) =>
                typeof shard === 'string' &&
                shards.has(shard) &&
                Number.isSafeInteger(offset + length) &&
                offset >= 0 &&
                length >= 0 &&
                offset + length <= shards.get(shard)!.size,
            ),
        ),
    )
  );
}

/** Hashes of all shards that any of these records needs. */
export function referenced(records: Iterable<ModelRecord>): Set<string> {
  const hashes = new Set<string>();
  for (const record of records)
    for (const group of record.groups.values())
      for (const hash of group.shards.keys()) hashes.add(hash);
  return hashes;
}
