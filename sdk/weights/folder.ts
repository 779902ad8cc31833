import { SDError } from '../errors.ts';
import type { Checkpoint } from './checkpoint.ts';
import { readJson, readText, type ModelFiles } from './files.ts';
import type { LoadFormats } from './formats.ts';
import { openTensors } from './open.ts';
import { joinReaders } from './sharded.ts';
import type { TensorReader } from './tensor.ts';

export interface FolderOptions {
  /** Weights saved under a variant's name, such as `fp16`. Parts without it give their plain file. */
  readonly variant?: string;
  readonly formats: LoadFormats;
  readonly signal?: AbortSignal;
}

/**
 * A model as diffusers saves it: `model_index.json` and one folder for each part.
 * @throws SDError MISSING_FILE without `model_index.json`; INVALID_MODEL where it names no parts.
 */
export async function openDiffusersFolder(
  files: ModelFiles,
  options: FolderOptions,
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
    tensors: (component) => openWeights(files, component, options),
  };
}

/** A part is given as the library and the class it is of; one that is left out as two nulls. */
function readComponents(modelIndex: Record<string, unknown>): Set<string> {
  const isPart = ([, value]: [string, unknown]): boolean =>
    Array.isArray(value) && value.length === 2 && value.every((name) => typeof name === 'string');
  return new Set(
    Object.entries(modelIndex)
      .filter(isPart)
      .map(([name]) => name),
  );
}

/**
 * The weights of one part: the first of the names that diffusers and transformers save under.
 * @param component the folder, or '' for a part that was saved on its own.
 */
export async function openWeights(
  files: ModelFiles,
  component: string,
  options: FolderOptions,
): Promise<TensorReader> {
  const { variant, formats, signal } = options;
  const folder = component === '' ? '' : `${component}/`;
  const variants = variant === undefined ? [''] : [`.${variant}`, ''];
  // transformers saves `model`, diffusers the longer name; the likely one first spares requests.
  const stems = ['diffusion_pytorch_model', 'model'];
  if (component.startsWith('text_encoder')) stems.reverse();
  const paths = [
    ...variants.flatMap((v) => stems.map((stem) => `${stem}${v}.safetensors`)),
    // Libraries differ in where the variant goes.
    ...variants.flatMap((v) =>
      stems.flatMap((stem) => [
        `${stem}.safetensors.index${v}.json`,
        `${stem}${v}.safetensors.index.json`,
      ]),
    ),
    ...variants.flatMap((v) =>
      ['diffusion_pytorch_model', 'pytorch_model'].map((stem) => `${stem}${v}.bin`),
    ),
  ];
  for (const path of new Set(paths)) {
    const whole = folder + path;
    if (!(await files.has(whole, signal))) continue;
    return path.endsWith('.json')
      ? openSharded(files, folder, whole, options)
      : openTensors(await files.open(whole), formats, signal);
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
  { formats, signal }: FolderOptions,
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
    readers.set(shard, await openTensors(await files.open(`${folder}${shard}`), formats, signal));
  return joinReaders(`${files.name} ${index}`, shardOf, readers);
}
