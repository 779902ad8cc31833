import { readdirSync, readFileSync } from 'node:fs';
import { after, beforeEach } from 'node:test';
import { ModelServer } from './model-server.ts';
import { TestModel } from './model.ts';
import { peak } from './profile.ts';
import { startSite } from './site.ts';

const TINY = 'tests/fixtures/tiny-model';

/** The tiny model that diffusers drew pictures with; the first of them, RGB as base64. */
export const picture = (
  JSON.parse(readFileSync(`${TINY}/expected.json`, 'utf8')) as { rgb: string }[]
)[0].rgb;

/** A site, a server of models, and a model of many shards, for the tests of one file. */
export async function setUp(): Promise<{
  server: ModelServer;
  site: Awaited<ReturnType<typeof startSite>>;
  model: TestModel;
}> {
  const model = await TestModel.make();
  const [server, site] = [await ModelServer.start(), await startSite()];
  server.files.set(model.path, model.file);
  for (const name of readdirSync(TINY, { recursive: true }) as string[])
    if (/\.\w+$/.test(name)) server.files.set(`tiny/${name}`, readFileSync(`${TINY}/${name}`));
  beforeEach(() => {
    server.pace = Infinity;
    server.answers.length = 0;
  });
  after(async () => {
    const kb = (bytes: number): number => Math.round(bytes / 1000);
    console.log(`the importing worker's peak, in ${peak.samples} samples: JavaScript heap ${kb(peak.heap)} kB, array buffers ${kb(peak.buffers)} kB`); // prettier-ignore
    site.stop();
    await server.down();
  });
  return { server, site, model };
}

/** The farthest that a byte of one picture is from the other's, in grey levels. */
export function farthest(rgb: string, wanted: string): number {
  const [a, b] = [Buffer.from(rgb, 'base64'), Buffer.from(wanted, 'base64')];
  return a.length === b.length ? a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), 0) : 256; // prettier-ignore
}
