import { SDError } from '../errors.ts';
import { toFloat32 } from '../weights/dtype.ts';
import { isWeightDType, type RawTensor } from '../weights/tensor.ts';

/** Vectors of one text encoder, `[count, dim]`. */
export interface EmbeddingVectors {
  readonly count: number;
  readonly dim: number;
  readonly data: Float32Array;
}

/** A textual inversion (Gal 2022): a word for the prompt, and the embeddings it stands for. */
export interface TextualInversion {
  /** As the file names it; undefined where it does not. */
  readonly token: string | undefined;
  readonly vectors: ReadonlyMap<'text_encoder' | 'text_encoder_2', EmbeddingVectors>;
}

/** Keys that hold vectors without naming a token. */
const UNNAMED = /^(emb_params|string_to_param(\._parameters)?\.\*)$/;

/**
 * Reads an embedding file: of diffusers (`{"<token>": vectors}`), of A1111 (`emb_params`,
 * `string_to_param`), or an SDXL pair (`clip_l` and `clip_g`).
 * @throws SDError UNSUPPORTED_FORMAT where it is none of these; INVALID_FILE for odd shapes.
 */
export function parseTextualInversion(tensors: readonly RawTensor[]): TextualInversion {
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const clipL = byName.get('clip_l');
  const clipG = byName.get('clip_g');
  if (clipL && clipG) {
    const [first, second] = [vectorsOf(clipL), vectorsOf(clipG)];
    if (first.count !== second.count)
      throw new SDError('INVALID_FILE', `The embedding has ${first.count} and ${second.count} vectors.`); // prettier-ignore
    return {
      token: undefined,
      vectors: new Map([
        ['text_encoder', first],
        ['text_encoder_2', second],
      ]),
    };
  }
  // Old A1111 files carry training state beside the vectors.
  const unnamed = tensors.find(({ name }) => UNNAMED.test(name));
  const [only] = unnamed ? [unnamed] : tensors;
  if (!only || (!unnamed && tensors.length !== 1))
    throw new SDError(
      'UNSUPPORTED_FORMAT',
      `This is not a textual inversion: it holds ${tensors.length} tensors and neither emb_params nor clip_l and clip_g.`,
    );
  return {
    token: unnamed ? undefined : only.name,
    vectors: new Map([['text_encoder', vectorsOf(only)]]),
  };
}

function vectorsOf({ name, dtype, shape, bytes }: RawTensor): EmbeddingVectors {
  const [count, dim] = shape.length === 1 ? [1, shape[0]] : shape;
  if (shape.length > 2 || !(count >= 1 && count <= 75) || !(dim >= 1) || !isWeightDType(dtype))
    throw new SDError('INVALID_FILE', `${name} is no list of embeddings: ${dtype} [${shape}].`);
  return { count, dim, data: toFloat32(bytes, dtype) };
}
