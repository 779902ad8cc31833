import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSDError } from '../../sdk/errors.ts';
import { Conditions } from '../../sdk/pipeline/conditions.ts';
import { guide } from '../../sdk/pipeline/guidance.ts';
import { passOf } from '../../sdk/pipeline/pass.ts';
import type { Job } from '../../sdk/pipeline/request.ts';
import { bilinear, nearest } from '../../sdk/pipeline/interpolate.ts';
import { secondPassJob } from '../../sdk/pipeline/second-pass.ts';
import type { TextEncoders } from '../../sdk/pipeline/text.ts';

const SCHEDULER = { _class_name: 'DDIMScheduler', num_train_timesteps: 1000 };
const job = (options: Partial<Job>): Job => ({
  prompts: ['a'],
  count: 1,
  width: 64,
  height: 64,
  steps: 10,
  guidanceScale: 7,
  guidanceRescale: 0,
  eta: 0,
  clipSkip: 0,
  seed: 0,
  rng: 'torch',
  ...options,
});
const MODEL = { takesScale: false, zerosForNothing: false, isRefiner: false };

/** Every text is a number: its place in the order they were asked for; three tokens from "long" on. */
function fakeText(asked: string[]): TextEncoders {
  return {
    isXl: false,
    encode: async (text: string, { skip }: { skip: number }) => {
      asked.push(`${text}/${skip}`);
      const tokens = text.includes('long') ? 3 : 1;
      return { tokens, context: new Float32Array(tokens).fill(asked.length) };
    },
    zeros: () => ({ tokens: 1, context: new Float32Array(1) }),
  } as unknown as TextEncoders;
}

async function conditionsOf(options: Partial<Job>, model = MODEL) {
  const asked: string[] = [];
  const pass = passOf(job(options), [1, 4, 8, 8], SCHEDULER);
  const conditions = await Conditions.encode(pass, fakeText(asked), model, {});
  const contexts = (call: number): number[][] =>
    conditions
      .at(call, pass.calls)
      .context.rows.map(({ conditioning }) => [...conditioning.context]);
  return { asked, conditions, contexts, calls: pass.calls };
}

test('negatives come first, each text is encoded once, and a step that changes nothing is the same object', async () => {
  const { asked, conditions, contexts } = await conditionsOf({ count: 2, clipSkip: 1 });
  assert.deepEqual(asked, ['a/1', '/0']);
  assert.deepEqual(contexts(0), [[2], [2], [1], [1]]);
  assert.deepEqual(conditions.at(0, 10).pictures, [0, 1, 0, 1]);
  assert.equal(conditions.at(0, 10).context, conditions.at(9, 10).context);
});

test('guidance acts within its window only', async () => {
  const { conditions } = await conditionsOf({ guidanceStart: 0.2, guidanceEnd: 0.8 });
  const guided = Array.from({ length: 10 }, (_, i) => Number(conditions.at(i, 10).isGuided));
  assert.equal(guided.join(''), '0011111100');
  assert.equal(conditions.at(0, 10).context.rows.length, 1);
});

test('a scale of 1 and a model that takes the scale ask once', async () => {
  for (const [options, model] of [
    [{ guidanceScale: 1 }, MODEL],
    [{}, { ...MODEL, takesScale: true }],
  ] as const) {
    const { asked, conditions } = await conditionsOf(options, model);
    assert.deepEqual(asked, ['a/0']);
    assert.equal(conditions.at(3, 10).isGuided, false);
  }
});

test('brackets are text in the plain syntax', async () => {
  const { asked } = await conditionsOf({ prompts: ['[a:b:0.5] AND c'], guidanceScale: 1 });
  assert.deepEqual(asked, ['[a:b:0.5] AND c/0']);
});

test('prompts change with the steps and alternate', async () => {
  const { asked, contexts } = await conditionsOf({
    prompts: ['[x:y:0.5]'],
    negativePrompts: ['[m|n]'],
    syntax: 'a1111',
    clipSkip: 2,
  });
  assert.deepEqual(asked.slice(0, 2), ['x/2', 'y/2']);
  // An entry that ends at step 5 serves the calls 0 to 5, as in A1111.
  assert.deepEqual(contexts(5)[1], [1]);
  assert.deepEqual(contexts(6)[1], [2]);
  assert.deepEqual(contexts(2)[0], contexts(4)[0]);
  assert.notDeepEqual(contexts(2)[0], contexts(3)[0]);
});

test('AND pulls a picture several ways; shorter prompts are filled up with nothing', async () => {
  const { asked, conditions, contexts } = await conditionsOf({
    prompts: ['cat AND long dog :0.5'],
    syntax: 'a1111',
    guidanceScale: 1,
  });
  assert.deepEqual(asked, ['cat/0', ' long dog/0', '/0']);
  const { isGuided, pulls, pictures, scale } = conditions.at(0, 10);
  assert.deepEqual(
    { isGuided, pulls, pictures, scale },
    {
      isGuided: true,
      pulls: [
        { picture: 0, weight: 1 },
        { picture: 0, weight: 0.5 },
      ],
      pictures: [0, 0, 0],
      scale: 1,
    },
  );
  assert.deepEqual(contexts(0), [
    [3, 3, 3],
    [1, 3, 3],
    [2, 2, 2],
  ]);
});

test('guidance is the negative plus what each prompt pulls', () => {
  const noise = Float32Array.of(1, 2, /* pulls */ 3, 2, 0, 4);
  const pulls = [
    { picture: 0, weight: 1 },
    { picture: 0, weight: 0.5 },
  ];
  assert.deepEqual([...guide(noise, 1, pulls, 2, 0)], [1 + 2 * 2 - 1, 2 + 0 + 2]);
});

test('the schedule of a second pass leaves exactly its steps', () => {
  for (const strength of [0.05, 0.3, 0.5, 0.7, 0.75, 1])
    for (let steps = 1; steps <= 50; steps++) {
      const second = secondPassJob(
        job({}),
        { scale: 1.5, strength, steps, upscaler: 'latent' },
        8,
        1000,
      );
      assert.equal(passOf(second, [1, 4, 12, 12], SCHEDULER).calls, steps, `${strength} ${steps}`);
      assert.deepEqual([second.width, second.height], [96, 96]);
    }
});

test('latents grow as torch interpolates', () => {
  const x = Float32Array.of(1, 2, 3, 5);
  assert.deepEqual(
    [...bilinear(x, [1, 1, 2, 2], 3, 4)],
    [1, 1.25, 1.75, 2, 2, 2.375, 3.125, 3.5, 3, 3.5, 4.5, 5],
  );
  assert.deepEqual([...nearest(x, [1, 1, 2, 2], 2, 3)], [1, 1, 2, 3, 3, 5]);
});

test('eta is refused where the sampler takes none, and strength that leaves no step', () => {
  const refused = (options: Partial<Job>, pattern: RegExp) =>
    assert.throws(
      () => passOf(job(options), [1, 4, 8, 8], SCHEDULER),
      (error) => isSDError(error) && error.code === 'INVALID_OPTION' && pattern.test(error.message),
    );
  refused({ sampler: 'Euler', eta: 0.5 }, /Euler takes no eta/);
  refused({ image: { strength: 0.05, data: new Float32Array() } }, /leaves no step/);
  refused({ sampler: 'Oiler' }, /Did you mean Euler/);
});
