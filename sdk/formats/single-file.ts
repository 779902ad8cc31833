import { SDError } from '../errors.ts';
import { convertOpenAIVocabulary } from '../tokenizer/vocabulary.ts';
import type { Checkpoint, Remember } from '../weights/checkpoint.ts';
import { builtInConfigs, type ModelConfigs } from './names/configs.ts';
import { detectFamily, type Detected, type PredictionType } from './names/detect.ts';
import { once } from '../weights/parts.ts';
import { readAll, type ByteSource } from '../weights/source.ts';
import type { TensorReader } from '../weights/tensor.ts';

const MAX_MERGES = 4 * 1024 * 1024;

export interface SingleFileOptions {
  /** For messages. */
  readonly name: string;
  /** Opens the file. */
  readonly tensors: () => Promise<TensorReader>;
  /** Overrules what the file seems to predict; SD 2.x files do not say. */
  readonly predictionType?: PredictionType;
  /** CLIP's vocabulary, which single files lack, as OpenAI published it. */
  readonly merges: ByteSource;
  readonly remember: Remember;
  readonly signal?: AbortSignal;
}

/**
 * A CompVis-style single file, `.safetensors` or `.ckpt`: one file with the UNet, the VAE and the
 * text encoders. Its configs are those of its family, found from its tensors.
 * @throws SDError UNSUPPORTED_FORMAT for other models; INVALID_FILE; whatever the source throws.
 */
export async function openSingleFile(options: SingleFileOptions): Promise<Checkpoint> {
  const { name, predictionType } = options;
  const tensors = once(options.tensors);
  const known = await options.remember('detected.json', async () =>
    JSON.stringify(detectFamily(await tensors())),
  );
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
    const text = { 'vocab.json': 'vocab', 'merges.txt': 'merges' } as const;
    const key = text[file as keyof typeof text];
    return key && convertOpenAIVocabulary(await readMerges(options))[key];
  };
  return {
    name,
    modelIndex: configs.modelIndex,
    components: new Set([
      ...['unet', 'vae', 'scheduler'],
      ...configs.textEncoders.keys(),
      ...configs.tokenizers.keys(),
    ]),
    config: async (component) => configOf(configs, component, name),
    optionalText,
    text: async (path) => {
      const text = await optionalText(path);
      if (text === undefined) throw new SDError('MISSING_FILE', `${path} is not part of ${name}.`);
      return text;
    },
    tensors,
  };
}

async function readMerges({ merges, remember, signal }: SingleFileOptions): Promise<string> {
  const read = async () => new TextDecoder().decode(await readAll(merges, MAX_MERGES, signal));
  return (await remember('clip-merges.txt', read))!;
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
