import { SDError } from '../../errors.ts';
import { isIgnorable, type ParameterTable } from '../../weights/check.ts';
import type { TensorInfo, TensorReader } from '../../weights/tensor.ts';
import { checkTensors } from './check.ts';
import { openClipOrigin } from './open-clip.ts';
import { renamed, type Origin } from './origin.ts';
import { taesdName } from './taesd.ts';
import { ldmUNetName, unetLayout } from './unet.ts';
import { ldmVaeOrigin, oldVaeName } from './vae.ts';

/** Which of a model's parts; each has its own ways of being named. */
export type PartKind = 'unet' | 'vae' | 'text';

export interface ResolveOptions {
  /** For messages, such as "the UNet of model.ckpt". */
  readonly what: string;
  /** Which weights to take where a file holds the averaged ones too. Default `ema`. */
  readonly weights?: 'ema' | 'raw';
}

/** One way of naming: where its tensors start, and where a parameter is found below that. */
interface Scheme {
  readonly prefix: string;
  readonly origin: (name: string) => Origin;
  /** Tensors below the prefix that the model leaves out on purpose. */
  readonly dropped?: RegExp;
}

/**
 * The tensors of one part under their diffusers names, whatever the file calls them, checked
 * against the part's own table before any is read.
 * @throws SDError WEIGHTS_MISMATCH with all that does not fit.
 */
export function resolveNames(
  kind: PartKind,
  reader: TensorReader,
  table: ParameterTable,
  options: ResolveOptions,
): TensorReader {
  const names = new Set(reader.names());
  const scheme = bestScheme(schemesOf(kind, table), table, names);
  const origins = new Map<string, Origin>();
  const used = new Set<string>();
  for (const name of table.keys()) {
    const plain = scheme.origin(name);
    const origin = { ...plain, source: scheme.prefix + plain.source };
    const averaged = options.weights === 'raw' ? undefined : emaName(origin.source);
    used.add(origin.source);
    if (averaged !== undefined && names.has(averaged))
      origins.set(name, { ...origin, source: averaged });
    else if (names.has(origin.source)) origins.set(name, origin);
  }
  checkEma(origins, options);

  const result = renamed(reader, origins, table);
  const found = new Map<string, TensorInfo>();
  for (const name of origins.keys()) found.set(name, result.info(name)!);
  for (const name of names) {
    const own = scheme.prefix === '' ? !OTHERS.test(name) : name.startsWith(scheme.prefix);
    if (own && !used.has(name) && !isIgnorable(name) && !scheme.dropped?.test(name))
      found.set(name, reader.info(name)!);
  }
  checkTensors(options.what, table, found);
  return result;
}

/** What may stand in one file beside a part that has no prefix of its own. */
const OTHERS = /^(model|model_ema|cond_stage_model|first_stage_model|conditioner)\./;

/** The scheme under which most of the table is found; the first one where none is. */
function bestScheme(
  schemes: readonly Scheme[],
  table: ParameterTable,
  names: ReadonlySet<string>,
): Scheme {
  let best = schemes[0];
  let most = 0;
  for (const scheme of schemes) {
    let count = 0;
    for (const name of table.keys())
      if (names.has(scheme.prefix + scheme.origin(name).source)) count++;
    if (count > most) [best, most] = [scheme, count];
  }
  return best;
}

function schemesOf(kind: PartKind, table: ParameterTable): readonly Scheme[] {
  const same = (name: string): Origin => ({ source: name });
  const at = (
    prefixes: readonly string[],
    origin: (name: string) => Origin,
    dropped?: RegExp,
  ): Scheme[] => prefixes.map((prefix) => ({ prefix, origin, dropped }));
  switch (kind) {
    case 'unet': {
      const layout = unetLayout(table.keys());
      const pointwise = /\.attentions\.\d+\.proj_(in|out)\.weight$/;
      const ldm = (name: string): Origin => {
        const source = ldmUNetName(layout, name);
        return pointwise.test(name) ? { source, change: 'pointwise' } : { source };
      };
      return [
        ...at(['', 'unet.'], same),
        ...at(['model.diffusion_model.', 'diffusion_model.', ''], ldm),
      ];
    }
    case 'vae': {
      const upBlocks = new Set(
        [...table.keys()].map((name) => /^decoder\.up_blocks\.(\d+)\./.exec(name)?.[1]),
      );
      upBlocks.delete(undefined);
      const old = (name: string): Origin => ({ source: oldVaeName(name) ?? name });
      const ldm = (name: string): Origin => ldmVaeOrigin(name, upBlocks.size);
      return [
        ...at(['', 'vae.'], same),
        ...at(['', 'vae.'], old),
        ...at(['first_stage_model.', '', 'vae.'], ldm),
        ...at(['taesd_', ''], (name) => ({ source: taesdName(name) }), TAESD_SCALES),
        ...at([''], (name) => ({ source: taesdName(name).replace(/^decoder\./, '') })),
      ];
    }
    case 'text': {
      const bare = (name: string): Origin => ({ source: name.replace(/^text_model\./, '') });
      const prefixes = [
        'cond_stage_model.transformer.',
        'conditioner.embedders.0.transformer.',
        'text_encoder.',
      ];
      const open = [
        'cond_stage_model.model.',
        'conditioner.embedders.1.model.',
        'conditioner.embedders.0.model.',
        '',
      ];
      const layers = [...table.keys()].filter((name) => name.endsWith('.mlp.fc1.bias')).length;
      // OpenCLIP's last block, and projections that no part of the model asks for.
      const dropped = new RegExp(`(^|\\.)(text_projection(\\.weight)?$|resblocks\\.${layers}\\.)`);
      return [
        ...at(['', ...prefixes], same, dropped),
        ...at(['', ...prefixes], bare, dropped),
        ...at(open, openClipOrigin, dropped),
      ];
    }
  }
}

/** Of TAESD: numbers for previews by other programs. */
const TAESD_SCALES = /^(taesd_)?vae_(scale|shift)$/;

/** Where Lightning keeps the moving average of `model.x.y`: `model_ema.xy`, dots removed. */
export function emaName(source: string): string | undefined {
  return source.startsWith('model.')
    ? `model_ema.${source.slice('model.'.length).replaceAll('.', '')}`
    : undefined;
}

/** An average of some weights beside others that are not averaged is no model anyone trained. */
function checkEma(origins: ReadonlyMap<string, Origin>, { what }: ResolveOptions): void {
  let averaged = 0;
  for (const { source } of origins.values()) if (source.startsWith('model_ema.')) averaged++;
  if (averaged > 0 && averaged < origins.size)
    throw new SDError(
      'WEIGHTS_MISMATCH',
      `${what} holds averaged (EMA) weights for ${averaged} of ${origins.size} parameters. ` +
        "Load it with weights: 'raw'.",
    );
}
