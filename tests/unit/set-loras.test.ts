import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SDError } from '../../sdk/errors.ts';
import { StableDiffusion } from '../../sdk/index.ts';
import { FakeWorker, type Script } from './fake-worker.ts';
import { fails } from './weights-helpers.ts';

async function open(script: Script): Promise<{ sd: StableDiffusion; workers: FakeWorker[] }> {
  const workers: FakeWorker[] = [];
  const worker = (): Worker => {
    workers.push(new FakeWorker(script));
    return workers.at(-1) as unknown as Worker;
  };
  return { sd: await StableDiffusion.load('https://models.test/it/', { worker }), workers };
}
const lora = (strength: number) => ({ source: 'https://models.test/a.safetensors', strength });

test('LoRAs change between two runs, in the order of the calls, and a new worker starts with the last ones', async () => {
  const told: string[] = [];
  const { sd, workers } = await open({
    load: async ({ loras = [] }) => void told.push(`load ${loras.map(({ unet }) => unet)}`),
    setLoras: async (loras) => void told.push(`set ${loras.map(({ unet }) => unet)}`),
    generate: async () => void told.push('run'),
  });
  await Promise.all([
    sd.setLoras([lora(1), lora(0.5)]),
    sd.generate({ prompt: 'a' }),
    sd.setLoras([lora(2)]),
    sd.generate({ prompt: 'a' }),
  ]);
  assert.deepEqual(told, ['load ', 'set 1,0.5', 'run', 'set 2', 'run']);
  workers[0].crash('gone');
  await sd.generate({ prompt: 'a' });
  assert.deepEqual(told.slice(-2), ['load 2', 'run']);
  await sd.setLoras([]);
  assert.equal(told.at(-1), 'set ');
  await sd.dispose();
  await assert.rejects(sd.setLoras([]), fails('DISPOSED', /disposed/));
});

test('LoRAs that are refused leave what the model wears; weights that are torn are loaded anew', async () => {
  let failure = new SDError('WEIGHTS_MISMATCH', 'not for this model');
  const loads: string[] = [];
  const { sd } = await open({
    load: async ({ loras = [] }) => void loads.push(loras.map(({ unet }) => unet).join()),
    setLoras: async () => Promise.reject(failure),
  });
  await assert.rejects(sd.setLoras([lora(NaN)]), fails('INVALID_OPTION', /strength/));
  await assert.rejects(sd.setLoras([lora(1)]), fails('WEIGHTS_MISMATCH', /not for/));
  await sd.generate({ prompt: 'a' });
  assert.deepEqual(loads, ['']);
  failure = new SDError('WORKER_FAILED', 'torn');
  await assert.rejects(sd.setLoras([lora(1)]), fails('WORKER_FAILED', /torn/));
  await sd.generate({ prompt: 'a' });
  assert.deepEqual(loads, ['', '']);
  await sd.dispose();
});
