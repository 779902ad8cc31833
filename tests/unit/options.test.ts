import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SDError } from '../../sdk/errors.ts';
import { validateOptions, type GenerateOptions } from '../../sdk/options.ts';

const refusal = (options: unknown): SDError => {
  try {
    validateOptions(options as GenerateOptions);
  } catch (error) {
    assert.ok(error instanceof SDError);
    return error;
  }
  return assert.fail(`accepted ${JSON.stringify(options)}`);
};

test('a prompt alone is completed with the defaults', () => {
  const { request, notices } = validateOptions({ prompt: 'a lake' });
  const { seed, ...rest } = request;
  assert.deepEqual(rest, {
    prompt: ['a lake'],
    negativePrompt: undefined,
    steps: 25,
    guidanceScale: 7.5,
    guidanceRescale: 0,
    width: undefined,
    height: undefined,
    strength: 0.8,
    sampler: undefined,
    schedulerOptions: undefined,
    eta: 0,
    clipSkip: 0,
    count: 1,
    rng: 'torch',
    preview: 'none',
    latents: undefined,
    guidanceStart: 0,
    guidanceEnd: 1,
    oneGenerator: false,
    subseed: undefined,
    subseedStrength: 0,
    maskBlur: 0,
    maskPadding: undefined,
    timesteps: undefined,
    sigmas: undefined,
    previewState: 'denoised',
    inspect: [],
    syntax: 'plain',
    seamless: false,
    vaeTiling: 'auto',
    secondPass: undefined,
  });
  assert.equal(seed.length, 1);
  assert.ok(seed[0] >= 0 && seed[0] < 2 ** 32);
  assert.deepEqual(notices, []);
});

test('each bad option is refused with a code and a sentence that names it', () => {
  const cases: [unknown, string, RegExp][] = [
    [null, 'INVALID_OPTION', /prompt or an object/],
    [{}, 'INVALID_OPTION', /prompt must be a text/],
    [{ prompt: [] }, 'INVALID_OPTION', /list of 1 to 64/],
    [{ prompt: 5 }, 'INVALID_OPTION', /not 5/],
    [{ prompt: 'half \ud83d' }, 'INVALID_PROMPT', /surrogate/],
    [{ prompt: 'a', negativePrompt: '\udc00' }, 'INVALID_PROMPT', /negativePrompt/],
    [{ prompt: ['a', 'b', 'c'], negativePrompt: ['x', 'y'] }, 'INVALID_OPTION', /2 negative/],
    [{ prompt: 'a', steps: 0 }, 'INVALID_OPTION', /steps .*not 0/],
    [{ prompt: 'a', steps: -4 }, 'INVALID_OPTION', /steps .*not -4/],
    [{ prompt: 'a', steps: 2.5 }, 'INVALID_OPTION', /steps/],
    [{ prompt: 'a', steps: '20' }, 'INVALID_OPTION', /not "20"/],
    [{ prompt: 'a', guidanceScale: NaN }, 'INVALID_OPTION', /guidanceScale .*finite/],
    [{ prompt: 'a', guidanceScale: Infinity }, 'INVALID_OPTION', /guidanceScale/],
    [{ prompt: 'a', guidanceRescale: 1.1 }, 'INVALID_OPTION', /guidanceRescale/],
    [{ prompt: 'a', strength: 1.01 }, 'INVALID_OPTION', /strength .*0 to 1/],
    [{ prompt: 'a', strength: -0.1 }, 'INVALID_OPTION', /strength/],
    [{ prompt: 'a', guidanceStart: 0.6, guidanceEnd: 0.5 }, 'INVALID_OPTION', /after guidanceEnd/],
    [{ prompt: 'a', subseedStrength: 0.5 }, 'INVALID_OPTION', /`subseed`/],
    [{ prompt: 'a', timesteps: [] }, 'INVALID_OPTION', /timesteps .*list/],
    [{ prompt: 'a', timesteps: [9], sigmas: [1, 0] }, 'INVALID_OPTION', /not both/],
    [{ prompt: 'a', seamless: 'z' }, 'INVALID_OPTION', /seamless/],
    [{ prompt: 'a', syntax: 'compel' }, 'INVALID_OPTION', /plain, a1111/],
    [{ prompt: 'a', secondPass: { size: 2 } }, 'INVALID_OPTION', /no "size"/],
    [{ prompt: 'a', secondPass: { scale: 9 } }, 'INVALID_OPTION', /secondPass.scale/],
    [{ prompt: 'a', padding_mask_crop: 8 }, 'INVALID_OPTION', /"maskPadding"/],
    [{ prompt: 'a', strength: NaN }, 'INVALID_OPTION', /strength .*NaN/],
    [{ prompt: 'a', width: 500 }, 'INVALID_OPTION', /multiple of 8; 500 is not, 504 is/],
    [{ prompt: 'a', height: 0 }, 'INVALID_OPTION', /height/],
    [{ prompt: 'a', width: 8192 }, 'INVALID_OPTION', /4096/],
    [{ prompt: 'a', seed: -1 }, 'INVALID_OPTION', /random/],
    [{ prompt: 'a', seed: 2 ** 53 }, 'INVALID_OPTION', /seed/],
    [{ prompt: 'a', seed: 2 ** 53 - 1, count: 2 }, 'INVALID_OPTION', /seed/],
    [{ prompt: 'a', seed: [1, 2] }, 'INVALID_OPTION', /2 seeds for 1/],
    [{ prompt: 'a', count: 65 }, 'INVALID_OPTION', /count/],
    [{ prompt: ['a', 'b'], count: 40 }, 'INVALID_OPTION', /80 pictures/],
    [{ prompt: 'a', eta: 2 }, 'INVALID_OPTION', /eta/],
    [{ prompt: 'a', clipSkip: -1 }, 'INVALID_OPTION', /clipSkip/],
    [{ prompt: 'a', rng: 'mt' }, 'INVALID_OPTION', /torch, cuda, numpy/],
    [{ prompt: 'a', preview: 'png' }, 'INVALID_OPTION', /preview/],
    [{ prompt: 'a', sampler: '' }, 'INVALID_OPTION', /sampler/],
    [{ prompt: 'a', schedulerOptions: { f() {} } }, 'INVALID_OPTION', /plain/],
    [{ prompt: 'a', mask: 'x.png' }, 'INVALID_OPTION', /mask needs a picture/],
    [{ prompt: 'a', latents: [0] }, 'INVALID_OPTION', /Float32Array/],
    [{ prompt: 'a', latents: Float32Array.of(NaN) }, 'INVALID_OPTION', /finite/],
    [{ prompt: 'a', num_inference_steps: 3 }, 'INVALID_OPTION', /the name is "steps"/],
    [{ prompt: 'a', guidance_scale: 3 }, 'INVALID_OPTION', /the name is "guidanceScale"/],
    [{ prompt: 'a', wings: 2 }, 'INVALID_OPTION', /no option "wings"\./],
  ];
  for (const [options, code, sentence] of cases) {
    const error = refusal(options);
    assert.equal(error.code, code, error.message);
    assert.match(error.message, sentence);
  }
});

test('every picture of a call has a seed of its own', () => {
  const seeds = (options: GenerateOptions) => validateOptions(options).request.seed;
  assert.deepEqual(seeds({ prompt: ['a', 'b'], count: 2, seed: 7 }), [7, 8, 9, 10]);
  assert.deepEqual(seeds({ prompt: ['a', 'b'], seed: [3, 3] }), [3, 3]);
});

test('one negative prompt serves all prompts, whole emoji are text', () => {
  const { request } = validateOptions({ prompt: ['a', '😀'], negativePrompt: 'fog' });
  assert.deepEqual(request.negativePrompt, ['fog', 'fog']);
});

test('a strength without a picture is noticed; with a mask the default is 1', () => {
  assert.match(validateOptions({ prompt: 'a', strength: 0.5 }).notices[0], /no effect/);
  const picture = { width: 1, height: 1, data: new Uint8ClampedArray(4) };
  const both = validateOptions({ prompt: 'a', image: picture, mask: picture });
  assert.equal(both.request.strength, 1);
  assert.deepEqual(validateOptions({ prompt: 'a', image: picture, strength: 0 }).notices, []);
});

test('a variation keeps the seed and counts the subseed; notices name what has no effect', () => {
  const { request, notices } = validateOptions({
    prompt: 'a',
    count: 3,
    seed: 5,
    subseed: 9,
    subseedStrength: 0.2,
    maskBlur: 4,
  });
  assert.deepEqual(request.seed, [5, 5, 5]);
  assert.deepEqual(request.subseed, [9, 10, 11]);
  assert.match(notices.join(), /maskBlur/);
});
