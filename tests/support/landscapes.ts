import { readdirSync, readFileSync } from 'node:fs';
import type { Backend } from '../../sdk/backends/backend.ts';
import { Pipeline } from '../../sdk/pipeline/pipeline.ts';
import { checkpointModel } from '../../sdk/worker/checkpoint-model.ts';
import { openCheckpoint } from '../../sdk/worker/open-checkpoint.ts';
import type { LoadRequest } from '../../sdk/worker/protocol.ts';
import { formats } from './formats.ts';

/**
 * A diffusers folder, loaded in Node as the worker loads it; `folder` ends in a slash.
 * @param edits files to change on the way, by their path
 */
export async function pipelineOf(
  folder: URL,
  backend: Backend,
  edits: Readonly<Record<string, (file: Buffer) => Uint8Array | string>> = {},
  parts: LoadRequest['parts'] = {},
): Promise<Pipeline> {
  const files = (readdirSync(folder, { recursive: true }) as string[])
    .filter((path) => /\.\w+$/.test(path))
    .map((path) => {
      const bytes = readFileSync(new URL(path, folder));
      return { path, file: new Blob([(edits[path]?.(bytes) ?? bytes) as BlobPart]) };
    });
  const model = { kind: 'files', files } as const;
  const checkpoint = await openCheckpoint(
    { model, variant: undefined, parts },
    { formats, merges: 'unused:' },
  );
  const wasm = new URL('../../build/wasm/tokenizer.wasm', import.meta.url);
  const tokenizer = await WebAssembly.compile(readFileSync(wasm));
  return Pipeline.load(checkpointModel(checkpoint, { tokenizer, formats }), backend, {
    dtype: 'f32',
  });
}

/** The small model of the demos. */
export function landscapes(backend: Backend): Promise<Pipeline> {
  return pipelineOf(new URL('../../demos/landscapes/model/', import.meta.url), backend);
}
