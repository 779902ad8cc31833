import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import type { PackedParam } from '../../sdk/backends/backend.ts';
import type { Param } from '../../sdk/graph/index.ts';
import { locateEmbeddings, locateLoras } from '../../sdk/adapters.ts';
import type { ModelSource } from '../../sdk/pipeline/model-source.ts';
import type { Tokenizer } from '../../sdk/tokenizer/tokenizer.ts';
import { float32ToFloat16 } from '../../sdk/small-floats.ts';
import { readEmbeddings, withEmbeddings, type Embedding } from '../../sdk/formats/embeddings.ts';
import { Loras } from '../../sdk/formats/loras.ts';
import type { EmbeddingRequest, ModelLocation } from '../../sdk/worker/protocol.ts';
import { withFiles } from '../../sdk/worker/tensor-file.ts';
import { fails } from './weights-helpers.ts';
import { formats } from '../support/formats.ts';

const DIM = 8;
const TABLE = 'text_model.embeddings.token_embedding.weight';
const pick = (name: string): ModelLocation => {
  const packed = readFileSync(new URL(`../fixtures/loras/${name}.gz`, import.meta.url));
  return { kind: 'files', files: [{ path: name, file: new Blob([gunzipSync(packed)]) }] };
};
const vectors = JSON.parse(
  gunzipSync(
    readFileSync(new URL('../fixtures/loras/vectors.json.gz', import.meta.url)),
  ).toString(),
) as number[];

const openEmbeddings = async (requests: readonly EmbeddingRequest[]): Promise<Embedding[]> =>
  readEmbeddings(await withFiles(requests, 'textual inversion', undefined, formats));

/** A model of five tokens whose table counts up. */
function tinyModel(dtype: 'f32' | 'f16'): ModelSource {
  const words = ['a', 'b', 'c', 'd', 'e'];
  const table = Float32Array.from({ length: 5 * DIM }, (_, i) => i);
  const source: Partial<ModelSource> = {
    modelIndex: {},
    has: (part) => part === 'text_encoder',
    config: async () => ({ vocab_size: 5, hidden_size: DIM }),
    tokenizer: async () => {
      const addTokens = (token: string, count: number): number[] =>
        Array.from({ length: count }, (_, i) => words.push(`${token}_${i}`) - 1);
      return { addTokens } as unknown as Tokenizer;
    },
    async *weights(_, params) {
      assert.deepEqual(params.get(TABLE)!.shape, [5, DIM]);
      const stored = dtype === 'f32' ? table : float32ToFloat16(table);
      const data = new Uint8Array(stored.buffer);
      yield { name: TABLE, kind: 'table', shape: [5, DIM], dtype, data } satisfies PackedParam;
    },
  };
  return source as ModelSource;
}

for (const dtype of ['f32', 'f16'] as const)
  test(`embeddings become rows at the end of the token table, in ${dtype}`, async () => {
    const embeddings = await openEmbeddings([
      { file: pick('a1111.safetensors'), token: undefined },
      { file: pick('diffusers.bin'), token: 'dog' },
      { file: pick('diffusers.bin'), token: undefined },
    ]);
    assert.deepEqual(
      embeddings.map(({ token }) => token),
      ['a1111', 'dog', '<cat>'],
    );
    const model = withEmbeddings(tinyModel(dtype), embeddings);
    const config = (await model.config('text_encoder')) as { vocab_size: number };
    assert.equal(config.vocab_size, 10);
    const param: Param = { name: TABLE, kind: 'table', shape: [10, DIM] };
    for await (const packed of model.weights('text_encoder', new Map([[TABLE, param]]), dtype)) {
      assert.deepEqual(packed.shape, [10, DIM]);
      const wanted = Float32Array.from([
        ...Array.from({ length: 5 * DIM }, (_, i) => i),
        ...vectors,
        ...vectors.slice(0, DIM),
        ...vectors.slice(0, DIM),
      ]);
      const stored = dtype === 'f32' ? wanted : float32ToFloat16(wanted);
      assert.deepEqual([...packed.data], [...new Uint8Array(stored.buffer)]);
    }
  });

test('an embedding of another model is refused', async () => {
  const embeddings = await openEmbeddings([{ file: pick('a1111.pt'), token: 'x' }]);
  const [{ token, vectors: own }] = embeddings;
  const xlOnly = [{ token, vectors: new Map([['text_encoder_2', own.get('text_encoder')!]] as const) }]; // prettier-ignore
  await assert.rejects(
    async () => withEmbeddings(tinyModel('f32'), xlOnly).config('text_encoder'),
    fails('WEIGHTS_MISMATCH', /no vectors for the text_encoder/),
  );
  const wide = { count: 1, dim: 9, data: new Float32Array(9) };
  const model = withEmbeddings(tinyModel('f32'), [{ token, vectors: new Map([['text_encoder', wide]] as const) }]); // prettier-ignore
  const param: Param = { name: TABLE, kind: 'table', shape: [6, DIM] };
  await assert.rejects(
    async () => {
      for await (const _ of model.weights('text_encoder', new Map([[TABLE, param]]), 'f32')) void _;
    },
    fails('WEIGHTS_MISMATCH', /9 numbers per token/),
  );
});

test('LoRA files are read and sorted by part; parts that are not there are refused', async () => {
  const request = { file: pick('kohya.safetensors'), unet: 0.5, text: 1 };
  const open = (file = request.file) =>
    withFiles([{ ...request, file }], 'lora', undefined, formats);
  const loras = new Loras(() => true);
  await loras.wear(await open(), new Map());
  const none = (async function* () {})();
  assert.equal(loras.merge('vae', new Map(), none), none);
  assert.throws(
    () => loras.merge('unet', new Map(), none),
    fails('WEIGHTS_MISMATCH', /not for this model/),
  );
  await assert.rejects(
    new Loras((part) => part !== 'text_encoder').wear(await open(), new Map()),
    fails('WEIGHTS_MISMATCH', /does not have/),
  );
  await assert.rejects(
    open({ kind: 'url', url: 'http://x.test/folder/' }),
    fails('INVALID_OPTION', /is one file/),
  );
});

test('options are checked and completed', () => {
  const file = new File([], 'x.safetensors');
  const [lora] = locateLoras([{ source: [file], strength: 0.5 }]);
  assert.deepEqual([lora.unet, lora.text], [0.5, 0.5]);
  assert.throws(
    () => locateLoras([{ source: [file], strength: NaN }]),
    fails('INVALID_OPTION', /strength/),
  );
  assert.throws(
    () => locateEmbeddings([{ source: [file], token: ' ' }]),
    fails('INVALID_OPTION', /word/),
  );
});
