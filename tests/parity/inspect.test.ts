import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { validateOptions } from '../../sdk/options.ts';
import { generate } from '../../sdk/pipeline/generate.ts';
import { Pipeline } from '../../sdk/pipeline/pipeline.ts';
import { Previewer } from '../../sdk/pipeline/preview.ts';
import type { StepEvent } from '../../sdk/pipeline/request.ts';
import { MapFiles } from '../../sdk/weights/files.ts';
import { openDiffusersFolder } from '../../sdk/weights/folder.ts';
import { checkpointModel } from '../../sdk/worker/checkpoint-model.ts';
import { createTestBackend } from './backends.ts';
import { maxError } from './tiny-weights.ts';
import { formats } from '../support/formats.ts';

// What a step tells of itself, against diffusers (tests/reference/inspect_steps.py).

interface Expected {
  readonly tokens: number;
  readonly runs: readonly {
    readonly sampler: string;
    readonly steps: readonly { unconditioned: number[]; conditioned: number[]; maps: number[] }[];
  }[];
}

const file = (path: string): Buffer<ArrayBuffer> =>
  readFileSync(fileURLToPath(new URL(`../${path}`, import.meta.url))) as Buffer<ArrayBuffer>;
const expected = JSON.parse(
  gunzipSync(file('fixtures/inspect.json.gz')).toString('utf8'),
) as Expected;

async function tinyPipeline(engine: string): Promise<{ pipeline: Pipeline; end: () => unknown }> {
  const paths = [
    'model_index.json',
    ...['scheduler/scheduler_config.json', 'unet/config.json', 'vae/config.json'],
    ...['text_encoder/config.json', 'text_encoder/model.safetensors'],
    ...['vocab.json', 'merges.txt', 'tokenizer_config.json', 'special_tokens_map.json'].map(
      (name) => `tokenizer/${name}`,
    ),
    ...['unet', 'vae'].map((part) => `${part}/diffusion_pytorch_model.safetensors`),
  ];
  const files = MapFiles.fromPaths(
    paths.map((path) => [`tiny/${path}`, new Blob([file(`fixtures/tiny-model/${path}`)])]),
  );
  const tokenizer = await WebAssembly.compile(file('../build/wasm/tokenizer.wasm'));
  const backend = await createTestBackend(engine);
  const source = checkpointModel(await openDiffusersFolder(files, { formats }), {
    tokenizer,
    formats,
  });
  const pipeline = await Pipeline.load(source, backend, { dtype: 'f32' });
  return {
    pipeline,
    end: () => {
      pipeline.dispose();
      return backend.dispose();
    },
  };
}

const OPTIONS = { prompt: 'the lake', negativePrompt: 'a dam', seed: 7, steps: 2 };

for (const engine of ['reference', 'wasm'])
  test(`both halves of guidance and the attention maps are diffusers' on the ${engine} engine`, async () => {
    const { pipeline, end } = await tinyPipeline(engine);
    for (const { sampler, steps } of expected.runs) {
      const { request } = validateOptions({
        ...{ ...OPTIONS, sampler, guidanceScale: 4, width: 64, height: 64 },
        inspect: ['guidance', 'attention'],
      });
      const events: StepEvent[] = [];
      const denoised: Float32Array[] = [];
      await generate(
        pipeline,
        { ...request, image: undefined, mask: undefined },
        {
          onStep: async (event) => {
            events.push(event);
            denoised.push(await event.latents('denoised'));
          },
        },
      );
      assert.equal(events.length, steps.length);
      events.forEach(({ insight }, i) => {
        const { guidance, attention } = insight!;
        const { conditioned, unconditioned } = guidance!;
        assert.ok(maxError(conditioned.output, steps[i].conditioned) < 1e-4);
        assert.ok(maxError(unconditioned!.output, steps[i].unconditioned) < 1e-4);
        assert.deepEqual(guidance!.shape, [4, 8, 8]);

        const own = attention!.maps.subarray(0, expected.tokens * 64);
        assert.ok(maxError(own, steps[i].maps) < 1e-5, `${maxError(own, steps[i].maps)}`);
        assert.deepEqual(attention!.tokens.slice(0, 4), [
          ...['<|startoftext|>', 'the</w>', 'lake</w>', '<|endoftext|>'],
        ]);
        // A place divides all of its attention among the tokens.
        for (let pixel = 0; pixel < 64; pixel++) {
          let sum = 0;
          for (let token = 0; token < 77; token++) sum += attention!.maps[token * 64 + pixel];
          assert.ok(Math.abs(sum - 1) < 1e-5);
        }

        // Clean pictures follow the predictions linearly, and so the guided one the two halves.
        const guided = unconditioned!.preview!.map((x, j) => x + 4 * (conditioned.preview![j] - x));
        assert.ok(maxError(guided, denoised[i]) < 1e-3, `${maxError(guided, denoised[i])}`);
      });
    }
    await end();
  });

test('nothing is told that was not asked for, and looking changes nothing', async () => {
  const { pipeline, end } = await tinyPipeline('wasm');
  const results = [];
  for (const inspect of [undefined, ['guidance'], ['attention']] as const) {
    const { request } = validateOptions({ ...OPTIONS, width: 64, height: 64, inspect });
    const events: StepEvent[] = [];
    const { latents } = await generate(
      pipeline,
      { ...request, image: undefined, mask: undefined },
      { onStep: (event) => void events.push(event) },
    );
    results.push(latents);
    const told = Object.entries(events[0].insight ?? {}).filter(([, value]) => value);
    assert.deepEqual(
      told.map(([name]) => name),
      inspect ?? [],
    );
    const shown = await new Previewer(pipeline).showInsight('vae', events[0]);
    const half = shown?.guidance?.conditioned.preview;
    assert.equal(half?.width, inspect?.[0] === 'guidance' ? 64 : undefined);
  }
  assert.deepEqual(results[1], results[0]);
  assert.deepEqual(results[2], results[0]);
  await end();
});

test('the schedule is where the run goes', async () => {
  const { pipeline, end } = await tinyPipeline('wasm');
  for (const sampler of [undefined, 'Euler', 'DPM++ 2M Karras', 'Heun', 'PNDM']) {
    const { request } = validateOptions({ ...OPTIONS, steps: 5, sampler, width: 64, height: 64 });
    const { timesteps, sigmas, alphasCumprod } = pipeline.schedule(request);
    const visited: number[] = [];
    await generate(
      pipeline,
      { ...request, image: undefined, mask: undefined },
      { onStep: ({ timestep }) => void visited.push(timestep) },
    );
    assert.deepEqual(timesteps, visited);
    assert.equal(alphasCumprod.length, 1000);
    // The noise is that of training at this timestep, which some samplers round to whole numbers.
    sigmas.forEach((sigma, i) => {
      const t = timesteps[i];
      const beside = [Math.max(0, Math.floor(t - 0.5)), Math.min(999, Math.ceil(t + 0.5))];
      const [low, high] = beside.map((at) => {
        const left = alphasCumprod[at];
        return Math.sqrt((1 - left) / left);
      });
      assert.ok(sigma >= low * (1 - 1e-5) && sigma <= high * (1 + 1e-5), `${sampler} ${t}`);
    });
  }
  await end();
});

test('a step without guidance has one answer', async () => {
  const { pipeline, end } = await tinyPipeline('wasm');
  const { request } = validateOptions({
    ...{ ...OPTIONS, guidanceScale: 1, width: 64, height: 64 },
    inspect: ['guidance', 'attention'],
  });
  await generate(
    pipeline,
    { ...request, image: undefined, mask: undefined },
    {
      onStep: ({ insight }) => {
        assert.equal(insight!.guidance!.unconditioned, undefined);
        assert.equal(insight!.attention!.tokens[2], 'lake</w>');
      },
    },
  );
  await end();
});
