import { SDError } from '../errors.ts';
import type { Checkpoint, Remember } from './checkpoint.ts';
import { builtInConfigs, type ModelConfigs } from './names/configs.ts';
import { detectFamily, type Detected, type PredictionType } from './names/detect.ts';
import { openTensors } from './open.ts';
import type { ByteSource } from './source.ts';
import type { TensorReader } from './tensor.ts';
import { TorchReader } from './torch/reader.ts';

export interface SingleFileOptions {
  /** Overrules what the file seems to predict; SD 2.x files do not say. */
  readonly predictionType?: PredictionType;
  /** CLIP's vocabulary, which single files lack: the texts of `vocab.json` and `merges.txt`. */
  readonly vocabulary: () => Promise<{ readonly vocab: string; readonly merges: string }>;
  readonly remember?: Remember;
  readonly signal?: AbortSignal;
}

/**
 * A CompVis-style single file, `.safetensors` or `.ckpt`: one file with the UNet, the VAE and the
 * text encoders. Its configs are those of its family, found from its tensors.
 * @throws SDError UNSUPPORTED_FORMAT for other models; INVALID_FILE; whatever the source throws.
 */
export async function openSingleFile(
  source: ByteSource,
  options: SingleFileOptions,
): Promise<Checkpoint> {
  const { predictionType, signal, remember = (_, load) => load() } = options;
  let opened: Promise<TensorReader> | undefined;
  const reader = (): Promise<TensorReader> => (opened ??= openTensors(source, signal));
  const known = await remember('detected.json', async () => JSON.stringify(detect(await reader())));
  const detected = JSON.parse(known!) as Detected;
  const configs = builtInConfigs({
    ...detected,
    predictionType: predictionType ?? detected.predictionType,
  });
  const optionalText = async (path: string): Promise<string | undefined> => {
    const [folder, file] = path.split('/');
    const tokenizer = configs.tokenizers.get(folder as 'tokenizer');
    if (!tokenizer) return undefined;
    if (file === 'tokenizer_config.json') return JSON.stringify(tokenizer);
    if (file === 'vocab.json') return (await options.vocabulary()).vocab;
    if (file === 'merges.txt') return (await options.vocabulary()).merges;
    return undefined;
  };
  return {
    name: source.name,
    modelIndex: configs.modelIndex,
    components: new Set([
      ...['unet', 'vae', 'scheduler'],
      ...configs.textEncoders.keys(),
      ...configs.tokenizers.keys(),
    ]),
    config: async (component) => configOf(configs, component, source.name),
    optionalText,
    text: async (path) => {
      const text = await optionalText(path);
      if (text === undefined)
        throw new SDError('MISSING_FILE', `${path} is not part of ${source.name}.`);
      return text;
    },
    tensors: reader,
  };
}

function detect(reader: TensorReader): Detected {
  const step = reader instanceof TorchReader ? reader.numbers.get('global_step') : undefined;
  return detectFamily(reader, step);
}

function configOf(
  configs: ModelConfigs,
  component: string,
  file: string,
): Readonly<Record<string, unknown>> {
  const config =
    component === 'unet' || component === 'vae' || component === 'scheduler'
      ? configs[component]
      : configs.textEncoders.get(component as 'text_encoder');
  if (!config) throw new SDError('MISSING_FILE', `${file} has no ${component}.`);
  return config;
}
