/**
 * npm run golden -- FILE… [--backend reference|wasm|webgpu] [--vocab FILE]
 *
 * Runs files of reference outputs and prints one line per case with its largest error and what is
 * allowed. What a file holds shows in its shape; nothing is recognised by its name.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Backend } from '../../sdk/backends/backend.ts';
import { createTestBackend } from './backends.ts';
import * as models from './golden-models.ts';
import * as pipelines from './golden-pipelines.ts';
import * as random from './golden-random.ts';
import type { Report, Unsupported } from './golden-report.ts';
import * as samplers from './golden-samplers.ts';
import * as tokenizer from './golden-tokenizer.ts';
import { parsePythonJson } from './python-json.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    backend: { type: 'string', default: 'wasm' },
    vocab: { type: 'string' },
    quiet: { type: 'boolean', default: false },
  },
});
if (positionals.length === 0) {
  console.error('usage: npm run golden -- FILE… [--backend reference|wasm|webgpu] [--vocab FILE]');
  process.exit(2);
}

let [passed, failed, notSupported] = [0, 0, 0];
let file = '';
const report: Report = (name, error, tolerance) => {
  const ok = error <= tolerance;
  if (ok) passed++;
  else failed++;
  if (ok && values.quiet) return;
  const figures = `${error.toExponential(2)} of ${tolerance.toExponential(0)}`;
  console.log(`${ok ? 'pass' : 'FAIL'}  ${file} ${name}  ${figures}`);
};
const unsupported: Unsupported = (name, why) => {
  notSupported++;
  console.log(`none  ${file} ${name}  not supported: ${why}`);
};

let backend: Promise<Backend> | undefined;
const engine = (): Promise<Backend> => (backend ??= createTestBackend(values.backend!));

for (const path of positionals) {
  file = path.replace(/^.*\//, '');
  try {
    await runFile(parsePythonJson(readFileSync(path, 'utf8')) as Record<string, unknown>, path);
  } catch (error) {
    failed++;
    console.log(`FAIL  ${file}  ${error instanceof Error ? error.stack : String(error)}`);
  }
}
if (backend) await (await backend).dispose();
console.log(`${passed} passed, ${failed} failed, ${notSupported} not supported`);
process.exit(failed > 0 ? 1 : 0);

async function runFile(json: Record<string, unknown>, path: string): Promise<void> {
  const vocab = vocabularyFor(path);
  const isRuns = Array.isArray(json.runs);
  if (isRuns && 'unet' in json) {
    const clip = tokenizer.clipTokenizer(vocab);
    await pipelines.run(json as never, report, unsupported, await engine(), () => clip);
  } else if (isRuns) await samplers.run(json, report, unsupported);
  else if ('randn' in json || 'sha' in json) await random.run(json, report, unsupported);
  else if (Array.isArray(json.cases)) await tokenizer.run(json, report, unsupported, { vocab });
  else if ('cases' in json) await models.run(json as never, report, unsupported, await engine());
  else throw new Error('no known kind of reference file');
}

/** CLIP's vocabulary is not part of the project: it is given, or lies near the file. */
function vocabularyFor(path: string): string | undefined {
  const name = 'clip/bpe_simple_vocab_16e6.txt.gz';
  const near = [join(dirname(path), name), join(dirname(path), '..', name)];
  return values.vocab ?? process.env.SDW_CLIP_VOCAB ?? near.find((at) => existsSync(at));
}
