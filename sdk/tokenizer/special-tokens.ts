import { SDError } from '../errors.ts';

/** A token that is cut out of the raw text; the fields are those of Hugging Face's AddedToken. */
export interface AddedToken {
  content: string;
  /** Eats the white space before it. */
  lstrip: boolean;
  /** Eats the white space after it. */
  rstrip: boolean;
  /** Only matches between word boundaries. */
  singleWord: boolean;
  /** Fast tokenizers look for it in the normalised text instead of the raw one. */
  normalized: boolean;
  special: boolean;
}

/** The tokenizer's parsed JSON files; each may be absent. */
export interface TokenizerConfigFiles {
  config?: object;
  specialTokensMap?: object;
  addedTokens?: object;
}

export interface SpecialTokens {
  bos: AddedToken;
  eos: AddedToken;
  unk: AddedToken;
  pad: AddedToken;
  /** All tokens to cut out, by id; those without an id yet come last, in order. */
  added: { token: AddedToken; id?: number }[];
  modelMaxLength: number;
}

/** transformers' order, which decides the ids of tokens that are not in the vocabulary. */
const ATTRIBUTES = [
  'bos_token',
  'eos_token',
  'unk_token',
  'sep_token',
  'pad_token',
  'cls_token',
  'mask_token',
] as const;

type Attribute = (typeof ATTRIBUTES)[number];
type Json = Record<string, unknown>;

/** Both CLIP text encoders of Stable Diffusion have this many positions. */
const CLIP_POSITIONS = 77;

/**
 * Works out the special tokens of a model as transformers 4.57 does
 * (`PreTrainedTokenizerBase._from_pretrained`, `CLIPTokenizer.__init__`): `tokenizer_config.json`
 * counts; `special_tokens_map.json` overrides it where the config has no `added_tokens_decoder`.
 * @throws SDError INVALID_MODEL for entries of the wrong shape.
 */
export function resolveSpecialTokens(files: TokenizerConfigFiles): SpecialTokens {
  const config = files.config as Json | undefined;
  const values = new Map<Attribute, AddedToken>();
  const extra: AddedToken[] = [];
  const byId = new Map<number, AddedToken>();
  const read = (source: Json, special?: true) => {
    for (const name of ATTRIBUTES) {
      const token = readToken(source[name], name, special);
      if (token) values.set(name, token);
    }
    const list = source['additional_special_tokens'];
    if (Array.isArray(list)) {
      for (const entry of list) {
        const token = readToken(entry, 'additional_special_tokens', special);
        if (token && !extra.some((t) => t.content === token.content)) extra.push(token);
      }
    }
  };

  if (config) read(config);
  const decoder = config?.['added_tokens_decoder'];
  if (decoder !== undefined) {
    for (const [id, entry] of Object.entries(decoder as Json)) {
      const token = readToken(entry, 'added_tokens_decoder');
      if (token) byId.set(readId(id), token);
    }
  } else {
    if (files.specialTokensMap) read(files.specialTokensMap as Json, true);
    const special = new Set([...values.values(), ...extra].map((token) => token.content));
    for (const [content, id] of Object.entries(files.addedTokens ?? {})) {
      byId.set(readId(id), plainToken(content, special.has(content)));
    }
  }

  // An attribute that names an added token means that very token, with its flags.
  const byContent = new Map([...byId.values()].map((token) => [token.content, token]));
  const attribute = (name: Attribute) => {
    const token = values.get(name);
    return token && (byContent.get(token.content) ?? token);
  };
  const endOfText = plainToken('<|endoftext|>', true);
  const bos = attribute('bos_token') ?? plainToken('<|startoftext|>', true);
  const eos = attribute('eos_token') ?? endOfText;
  const unk = attribute('unk_token') ?? endOfText;
  const pad = attribute('pad_token') ?? endOfText;

  const added: SpecialTokens['added'] = [...byId]
    .sort(([a], [b]) => a - b)
    .map(([id, token]) => ({ token, id }));
  const others = [attribute('sep_token'), pad, attribute('cls_token'), attribute('mask_token')];
  for (const token of [bos, eos, unk, ...others, ...extra]) {
    if (!token) continue;
    const known = added.find((entry) => entry.token.content === token.content);
    if (!known) added.push({ token: { ...token, special: true } });
    // A token named twice: the fast tokenizer, which alone reads this flag, keeps the last.
    else if (known.id === undefined) known.token.normalized = token.normalized;
  }
  return { bos, eos, unk, pad, added, modelMaxLength: readLength(config?.['model_max_length']) };
}

/** A token given as a bare string: transformers strips nothing, and normalises unless special. */
export function plainToken(content: string, special: boolean): AddedToken {
  return {
    content,
    lstrip: false,
    rstrip: false,
    singleWord: false,
    normalized: !special,
    special,
  };
}

function readToken(value: unknown, where: string, special?: true): AddedToken | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value === 'string') return plainToken(value, true);
  const entry = value as Json;
  if (typeof value !== 'object' || typeof entry['content'] !== 'string') {
    throw new SDError('INVALID_MODEL', `The tokenizer’s ${where} is neither a string nor a token.`);
  }
  const isSpecial = special ?? entry['special'] === true;
  return {
    content: entry['content'],
    lstrip: entry['lstrip'] === true,
    rstrip: entry['rstrip'] === true,
    singleWord: entry['single_word'] === true,
    normalized: typeof entry['normalized'] === 'boolean' ? entry['normalized'] : !isSpecial,
    special: isSpecial,
  };
}

function readId(value: unknown): number {
  const id = Number(value);
  if (!Number.isInteger(id) || id < 0) {
    throw new SDError('INVALID_MODEL', `The tokenizer’s added tokens have a bad id: ${value}.`);
  }
  return id;
}

/** transformers writes 1e30 when no limit was set; CLIP then still has only 77 positions. */
function readLength(value: unknown): number {
  if (typeof value !== 'number' || value > 1e6) return CLIP_POSITIONS;
  if (!Number.isInteger(value) || value < 3) {
    throw new SDError('INVALID_MODEL', `model_max_length must be 3 or more, found ${value}.`);
  }
  return value;
}
