import { SDError } from '../errors.ts';
import type { Checkpoint } from './checkpoint.ts';
import { readJson, readText, type ModelFiles } from './files.ts';
import { openTensors } from './open.ts';
import { joinReaders } from './sharded.ts';
import type { TensorReader } from './tensor.ts';

export interface FolderOptions {
  /** Weights saved under a variant's name, such as `fp16`. Parts without it give their plain file. */
  readonly variant?: string;
  readonly signal?: AbortSignal;
}

/**
 * A model as diffusers saves it: `model_index.json` and one folder for each part.
 * @throws SDError MISSING_FILE without `model_index.json`; INVALID_MODEL where it names no parts.
 */
export async function openDiffusersFolder(
  files: ModelFiles,
  options: FolderOptions = {},
): Promise<Checkpoint> {
  const { variant, signal } = options;
  if (variant !== undefined && !/^[\w-]+$/.test(variant))
    throw new SDError('INVALID_OPTION', `${JSON.stringify(variant)} is no name of a variant.`);
  const modelIndex = await readJson(files, 'model_index.json', signal);
  const components = readComponents(modelIndex);
  if (components.size === 0)
    throw new SDError('INVALID_MODEL', `model_index.json in ${files.name} names no parts.`);

  return {
    name: files.name,
    modelIndex,
    components,
    config: (component) =>
      readJson(
        files,
        component === 'scheduler' ? 'scheduler/scheduler_config.json' : `${component}/config.json`,
        signal,
      ),
    text: (path) => readText(files, path, signal),
    optionalText: async (path) =>
      (await files.has(path, signal)) ? readText(files, path, signal) : undefined,
    tensors: (component) => openWeights(files, component, variant, signal),
  };
}

function readComponents(
  modelIndex: Record<string, unknown>,
): Map<string, { library: string; type: string }> {
  const components = new Map<string, { library: string; type: string }>();
  for (const [name, value] of Object.entries(modelIndex)) {
    if (!Array.isArray(value) || value.length !== 2) continue;
    const [library, type] = value as [unknown, unknown];
    if (typeof library === 'string' && typeof type === 'string')
      components.set(name, { library, type });
  }
  return components;
}

/**
 * The weights of one part: the first of the names that diffusers and transformers save under.
 * @param component the folder, or '' for a part that was saved on its own.
 */
export async function openWeights(
  files: ModelFiles,
  component: string,
  variant?: string,
  signal?: AbortSignal,
): Promise<TensorReader> {
  const folder = component === '' ? '' : `${component}/`;
  const variants = variant === undefined ? [''] : [`.${variant}`, ''];
  // transformers saves `model`, diffusers the longer name; the likely one first spares requests.
  const stems = ['diffusion_pytorch_model', 'model'];
  if (component.startsWith('text_encoder')) stems.reverse();
  for (const v of variants)
    for (const stem of stems) {
      const whole = `${folder}${stem}${v}.safetensors`;
      if (await files.has(whole, signal)) return openTensors(await files.open(whole), signal);
    }
  for (const v of variants)
    for (const stem of stems)
      // Libraries differ in where the variant goes.
      for (const index of new Set([
        `${folder}${stem}.safetensors.index${v}.json`,
        `${folder}${stem}${v}.safetensors.index.json`,
      ]))
        if (await files.has(index, signal)) return openSharded(files, folder, index, signal);
  for (const v of variants)
    for (const stem of ['diffusion_pytorch_model', 'pytorch_model']) {
      const whole = `${folder}${stem}${v}.bin`;
      if (await files.has(whole, signal)) return openTensors(await files.open(whole), signal);
    }
  throw new SDError(
    'MISSING_FILE',
    `${files.name} holds no weights ${folder}{${stems.join(',')}}${variants[0]}.safetensors (or their sharded form). ` +
      'Add the file, or name the variant it was saved under.',
  );
}

async function openSharded(
  files: ModelFiles,
  folder: string,
  index: string,
  signal: AbortSignal | undefined,
): Promise<TensorReader> {
  const { weight_map: weightMap } = await readJson(files, index, signal);
  if (typeof weightMap !== 'object' || weightMap === null)
    throw new SDError('INVALID_FILE', `${index} in ${files.name} has no weight_map.`);
  const shardOf = new Map<string, string>();
  for (const [tensor, shard] of Object.entries(weightMap)) {
    if (typeof shard !== 'string' || shard.includes('/'))
      throw new SDError('INVALID_FILE', `${index} in ${files.name} names no file for ${tensor}.`);
    shardOf.set(tensor, shard);
  }
  const readers = new Map<string, TensorReader>();
  for (const shard of new Set(shardOf.values()))
    readers.set(shard, await openTensors(await files.open(`${folder}${shard}`), signal));
  return joinReaders(`${files.name} ${index}`, shardOf, readers);
}
