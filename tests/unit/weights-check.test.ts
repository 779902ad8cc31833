import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SDError } from '../../sdk/errors.ts';
import { checkTensors } from '../../sdk/formats/names/check.ts';
import type { TensorInfo } from '../../sdk/weights/tensor.ts';

const table = new Map([
  ['a.weight', { shape: [2, 3] }],
  ['a.bias', { shape: [2] }],
  ['b.weight', { shape: [4] }],
]);
const good = (): Map<string, TensorInfo> =>
  new Map([
    ['a.weight', { dtype: 'F32', shape: [2, 3] }],
    ['a.bias', { dtype: 'F16', shape: [2] }],
    ['b.weight', { dtype: 'F8_E4M3', shape: [4] }],
  ]);

test('accepts what fits, and buffers that carry no weights', () => {
  const tensors = good();
  tensors.set('text_model.embeddings.position_ids', { dtype: 'I64', shape: [1, 77] });
  checkTensors('the model', table, tensors);
});

test('reports all that is wrong at once, by name', () => {
  const tensors = good();
  tensors.delete('a.bias');
  tensors.set('a.weight', { dtype: 'F32', shape: [3, 2] });
  tensors.set('b.weight', { dtype: 'I8', shape: [4] });
  tensors.set('stray', { dtype: 'F32', shape: [1] });
  assert.throws(
    () => checkTensors('the unet', table, tensors),
    (error: SDError) => {
      assert.equal(error.code, 'WEIGHTS_MISMATCH');
      assert.match(error.message, /weights of the unet/);
      assert.match(error.message, /1 missing: a\.bias\./);
      assert.match(error.message, /1 not of this model: stray\./);
      assert.match(error.message, /a\.weight is \[3,2\], must be \[2,3\]/);
      assert.match(error.message, /b\.weight is I8/);
      return true;
    },
  );
  tensors.delete('stray');
  tensors.set('a.weight', { dtype: 'F32', shape: [2, 3, 1, 1] });
  assert.throws(() => checkTensors('the unet', table, tensors), /\[2,3,1,1\]/);
});

test('a long list is cut and counted', () => {
  const many = new Map(Array.from({ length: 40 }, (_, i) => [`w${i}`, { shape: [1] }]));
  assert.throws(() => checkTensors('it', many, new Map()), /40 missing: w0, .*w11, and 28 more\./);
});
