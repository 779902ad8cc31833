import type { PackedParam } from '../backends/backend.ts';
import { SDError } from '../errors.ts';
import { sizeOf } from '../graph/tensor.ts';
import { toFloat32 } from '../weights/dtype.ts';
import { loraNames, type LoraPart, type LoraTables, type LoraTarget } from './lora-names.ts';
import { packTensor, unpackTensor } from '../weights/pack.ts';
import { isWeightDType, type RawTensor } from '../weights/tensor.ts';

/** The change of one weight: `scale · up · down`. */
interface LoraDelta {
  readonly target: LoraTarget;
  readonly rank: number;
  /** `[rows, rank]`. */
  readonly up: Float32Array;
  /** `[rank, columns]`, columns as in the torch order of the weight. */
  readonly down: Float32Array;
  /** `alpha / rank`. */
  readonly scale: number;
}

/** A parsed LoRA: changes by part and parameter name. */
export type Lora = ReadonlyMap<LoraPart, ReadonlyMap<string, LoraDelta>>;

/** How strongly a LoRA acts on the parts of a model. */
export interface LoraUse {
  readonly lora: Lora;
  readonly unet: number;
  readonly text: number;
}

/** Which part a tensor of a LoRA file is for, by the prefixes of all spellings. */
export function loraPart(name: string): LoraPart {
  if (/^(base_model\.model\.)?(lora_te2_|text_encoder_2\.)/.test(name)) return 'text_encoder_2';
  return /^(base_model\.model\.)?(lora_te1?_|text_encoder\.)/.test(name) ? 'text_encoder' : 'unet';
}

/** Kinds of the LyCORIS family with formulas of their own, by what gives them away. */
const OTHER_KINDS: readonly [RegExp, string][] = [
  [/\.hada_(w\d|t\d)/, 'a LoHa'],
  [/\.lokr_/, 'a LoKr'],
  [/\.dora_scale$|\.lora_magnitude_vector/, 'a DoRA'],
  [/\.lora_mid\./, 'a LoRA in Tucker (CP) form'],
  [/\.oft_(blocks|diag)|\.boft_/, 'an OFT'],
  [/\.on_input$/, 'an IA3'],
  [/\.glora_|\.[ab][12]\.weight$/, 'a GLoRA'],
  [/\.diff(_b)?$/, 'a full difference of weights'],
];

/** Of a tensor's name: which module, and which half of its LoRA; or its alpha. */
const ROLES = [
  /^(.+)\.lora_(down|up)\.weight$/,
  /^(.+)\.lora_(A|B)(?:\.\w+)?\.weight$/,
  /^(.+?)(?:\.lora_linear_layer|\.lora)\.(down|up)\.weight$/,
  /^(.+_lora)\.(down|up)\.weight$/,
  /^(.+)\.alpha$/,
];
const HALVES: Readonly<Record<string, 'up' | 'down'>> = {
  up: 'up',
  down: 'down',
  A: 'down',
  B: 'up',
};

/**
 * Reads a LoRA of the kohya, diffusers or PEFT kind against the tables of the model it is for.
 *
 * @param tensors all tensors of the file.
 * @param metadata of the file: PEFT keeps its alpha there.
 * @throws SDError UNSUPPORTED_FORMAT for LoHa, LoKr, DoRA, Tucker and others, by name;
 *   WEIGHTS_MISMATCH where it is for another model.
 */
export function parseLora(
  tensors: Iterable<RawTensor>,
  tables: LoraTables,
  metadata: ReadonlyMap<string, string> = new Map(),
): Lora {
  const modules = new Map<string, { up?: RawTensor; down?: RawTensor; alpha?: number }>();
  for (const tensor of tensors) {
    for (const [pattern, kind] of OTHER_KINDS)
      if (pattern.test(tensor.name))
        throw new SDError(
          'UNSUPPORTED_FORMAT',
          `This file is ${kind} (${tensor.name}), which is not merged here; LoRA and LoCon are.`,
        );
    const { module, role } = roleOf(tensor.name);
    const entry = modules.get(module) ?? {};
    if (role) entry[role] = tensor;
    else entry.alpha = valuesOf(tensor)[0];
    modules.set(module, entry);
  }
  if (modules.size === 0) throw new SDError('INVALID_FILE', 'This file holds no LoRA.');

  const names = loraNames(tables);
  const lora = new Map<LoraPart, Map<string, LoraDelta>>();
  const unknown: string[] = [];
  const misfits: string[] = [];
  for (const [module, { up, down, alpha }] of modules) {
    const target = names.get(module);
    if (!target) unknown.push(module);
    else if (!up || !down) misfits.push(`${module} lacks its ${up ? 'down' : 'up'} half`);
    else {
      const delta = deltaOf(target, up, down, alpha ?? metadataAlpha(metadata, target));
      if (typeof delta === 'string') misfits.push(`${module} ${delta}`);
      else {
        const part = lora.get(target.part) ?? new Map<string, LoraDelta>();
        lora.set(target.part, part.set(target.parameter, delta));
      }
    }
  }
  if (unknown.length + misfits.length > 0) throw mismatch(unknown, misfits);
  return lora;
}

/**
 * Merges LoRAs into the parameters of a part as they stream by: `W + Σ strength · scale · up·down`,
 * summed in f32 and stored again as it was. Without a LoRA that changes it, a parameter passes
 * untouched, so loading again without the LoRA gives back exactly what was there before.
 */
export async function* mergeLoras(
  parameters: AsyncIterable<PackedParam>,
  part: LoraPart,
  uses: readonly LoraUse[],
): AsyncIterable<PackedParam> {
  for await (const parameter of parameters) {
    const changes = uses.flatMap(({ lora, unet, text }) => {
      const delta = lora.get(part)?.get(parameter.name);
      const strength = part === 'unet' ? unet : text;
      return delta && strength !== 0 ? [{ delta, strength }] : [];
    });
    if (changes.length === 0) yield parameter;
    else {
      const weights = unpackTensor(parameter).slice();
      for (const { delta, strength } of changes) addDelta(weights, delta, strength);
      yield packTensor(parameter, weights, parameter.dtype);
    }
  }
}

/** `weights += strength · scale · up·down`. */
function addDelta(weights: Float32Array, delta: LoraDelta, strength: number): void {
  const { up, down, rank, scale } = delta;
  const rows = up.length / rank;
  const columns = down.length / rank;
  const row = new Float32Array(columns);
  for (let n = 0; n < rows; n++) {
    row.fill(0);
    for (let r = 0; r < rank; r++) {
      const factor = up[n * rank + r];
      if (factor === 0) continue;
      const base = r * columns;
      for (let k = 0; k < columns; k++) row[k] += factor * down[base + k];
    }
    const base = n * columns;
    for (let k = 0; k < columns; k++) weights[base + k] += strength * scale * row[k];
  }
}

function roleOf(name: string): { module: string; role: 'up' | 'down' | undefined } {
  for (const pattern of ROLES) {
    const match = pattern.exec(name);
    if (match) return { module: match[1], role: HALVES[match[2]] };
  }
  throw new SDError(
    'UNSUPPORTED_FORMAT',
    `This is not a LoRA of a kind that is read here: it holds ${JSON.stringify(name)}.`,
  );
}

/** The change, or what is wrong with its shapes. Linear and 1×1 LoRAs fit either kind of layer. */
function deltaOf(
  target: LoraTarget,
  up: RawTensor,
  down: RawTensor,
  alpha: number | undefined,
): LoraDelta | string {
  const [rows, ...rest] = target.shape;
  const rank = down.shape[0];
  const kernel = up.shape.slice(2);
  const fits =
    rank >= 1 &&
    down.shape.length >= 2 &&
    up.shape.length >= 2 &&
    kernel.every((n) => n === 1) &&
    up.shape[0] === rows &&
    up.shape[1] === rank &&
    sizeOf(down.shape) === rank * sizeOf(rest) &&
    down.shape[1] === rest[0];
  if (!fits)
    return `has halves [${up.shape}] and [${down.shape}] for a weight of [${target.shape}]`;
  return {
    target,
    rank,
    up: valuesOf(up),
    down: valuesOf(down),
    // kohya: an alpha that is missing or 0 stands for the rank.
    scale: alpha ? alpha / rank : 1,
  };
}

/** diffusers ≥ 0.35 writes PEFT's LoraConfig into the file, its keys behind the name of the part. */
function metadataAlpha(
  metadata: ReadonlyMap<string, string>,
  { part, parameter }: LoraTarget,
): number | undefined {
  const text = metadata.get('lora_adapter_metadata');
  if (text === undefined) return undefined;
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch (cause) {
    throw new SDError('INVALID_FILE', "The LoRA's lora_adapter_metadata is not JSON.", { cause });
  }
  const of = (key: string): unknown =>
    (config as Record<string, unknown> | null)?.[`${part}.${key}`];
  const module = parameter.slice(0, -'.weight'.length);
  const pattern = of('alpha_pattern') as Record<string, unknown> | null | undefined;
  const alpha =
    Object.entries(pattern ?? {}).find(
      ([key]) => module === key || module.endsWith(`.${key}`),
    )?.[1] ?? of('lora_alpha');
  return typeof alpha === 'number' ? alpha : undefined;
}

function valuesOf({ name, dtype, bytes }: RawTensor): Float32Array<ArrayBuffer> {
  if (!isWeightDType(dtype))
    throw new SDError(
      'WEIGHTS_MISMATCH',
      `${name} of the LoRA is ${dtype}, which holds no weights.`,
    );
  return toFloat32(bytes, dtype);
}

function mismatch(unknown: readonly string[], misfits: readonly string[]): SDError {
  const listed = [...misfits, ...unknown.map((name) => `${name} is not part of the model`)];
  const more = listed.length > 8 ? `; and ${listed.length - 8} more` : '';
  return new SDError(
    'WEIGHTS_MISMATCH',
    `The LoRA is not for this model: ${listed.slice(0, 8).join('; ')}${more}.`,
  );
}
