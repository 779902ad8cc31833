import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { packParameters } from '../../sdk/weights/importer.ts';
import { openTensors } from '../../sdk/weights/open.ts';
import { MemorySource } from '../../sdk/weights/source.ts';
import { randomFloats, writeSafetensors } from '../unit/weights-helpers.ts';
import type { ModelServer } from './model-server.ts';
import type { ImportReport, ImportRequest } from './protocol.ts';
import { formats } from '../support/formats.ts';

export const SHARD_BYTES = 512 * 1024;

/** Shapes that fill shards, cross their borders and need several; 12 MB as float32, 24 shards of f16. */
const SHAPES: readonly (readonly number[])[] = Array.from(
  { length: 40 },
  (_, i) =>
  i % 4 === 3 ? [100 + i] : [[320, 256], [160, 64, 3, 3], [24, 1000]][i % 4].map((n) => n + (i % 3)), // prettier-ignore
);

/** A weight file, what must come of it, and where its tensors lie. */
export class TestModel {
  readonly path = 'model.safetensors';
  readonly file: Uint8Array<ArrayBuffer>;
  readonly #hashes: Record<string, string> = {};
  readonly #places = new Map<string, readonly [begin: number, end: number]>();

  private constructor(seed: number) {
    this.file = writeSafetensors(
      SHAPES.map((shape, i) => {
        const values = randomFloats(
          shape.reduce((a, b) => a * b, 1),
          seed * 1000 + i,
        );
        return [`tensor.${i}`, { dtype: 'F32', shape, bytes: new Uint8Array(values.buffer) }];
      }),
    );
  }

  static async make(seed = 1): Promise<TestModel> {
    const model = new TestModel(seed);
    const reader = await openTensors(new MemorySource(model.file), formats);
    const table = new Map(
      SHAPES.map((shape, i) => [
        `tensor.${i}`,
        { shape, kind: shape.length > 1 ? ('matrix' as const) : ('vector' as const) },
      ]),
    );
    for await (const { name, data } of packParameters(reader, table, 'f16'))
      model.#hashes[name] = createHash('sha256').update(data).digest('hex');
    const header = new DataView(model.file.buffer).getUint32(0, true);
    const entries = JSON.parse(
      new TextDecoder().decode(model.file.subarray(8, 8 + header)),
    ) as Record<string, { data_offsets: [number, number] }>;
    for (const [name, { data_offsets: at }] of Object.entries(entries))
      model.#places.set(name, [8 + header + at[0], 8 + header + at[1]]);
    return model;
  }

  request(server: ModelServer, key = 'model'): ImportRequest {
    return { url: server.url(this.path), key, shardBytes: SHARD_BYTES };
  }

  /** Nothing wrong came, and all of it. */
  check({ hashes }: ImportReport): void {
    assert.deepEqual(hashes, this.#hashes);
  }

  /**
   * Bytes of stored tensors that the server gave again. An import reads on through gaps of up to a
   * megabyte where a new request would cost more, and compares one small tensor before it mixes old
   * and new; past that, what is complete is not fetched.
   */
  fetchedAgain(server: ModelServer, stored: readonly string[]): number {
    let bytes = 0;
    for (const { path, begin, sent } of server.answers)
      if (path === this.path)
        for (const name of stored) {
          const [from, to] = this.#places.get(name)!;
          bytes += Math.max(0, Math.min(to, begin + sent) - Math.max(from, begin));
        }
    return bytes;
  }
}
