import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateSync } from 'node:zlib';
import { isSDError } from '../../sdk/errors.ts';
import { validateOptions, type GenerateOptions } from '../../sdk/options.ts';
import { parametersText, parseParameters } from '../../sdk/parameters.ts';
import { readPngText, writePngText } from '../../sdk/png.ts';

// One grey pixel, made by Pillow.
const PNG = Uint8Array.from(
  Buffer.from(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==',
    'base64',
  ),
);
const bytes = (text: string): number[] => [...text].map((char) => char.charCodeAt(0));
/** A chunk with any checksum: they are not looked at. */
const chunk = (type: string, data: readonly number[]): number[] => {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  return [...length, ...bytes(type), ...data, 0, 0, 0, 0];
};
const withChunks = (...chunks: number[][]): Uint8Array =>
  Uint8Array.from([...PNG.subarray(0, 33), ...chunks.flat(), ...PNG.subarray(33)]);

test('a text reads back, in Latin-1 or not, and the pixels stay', () => {
  for (const text of ['a lake\nSteps: 20', 'café', '湖, žluť', '🏔', '']) {
    const written = writePngText(PNG, text);
    assert.equal(readPngText(written).get('parameters'), text);
    const grown = written.length - PNG.length;
    assert.deepEqual(written.subarray(33 + grown), PNG.subarray(33));
  }
});

test('the chunk is the one that Pillow writes', () => {
  const written = Buffer.from(writePngText(PNG, 'é', 'k')).toString('latin1');
  // Length 3, tEXt, "k", 0, "é", CRC as Pillow 12 has it.
  assert.equal(written.slice(33, 48), '\0\0\0\x03tEXtk\0\xe9\xab\xb4\x7d\x45');
});

test('a text under the same keyword is replaced, others are kept', () => {
  const first = writePngText(writePngText(PNG, 'old'), 'me', 'Author');
  const texts = readPngText(writePngText(first, 'new'));
  assert.deepEqual([...texts].sort(), [
    ['Author', 'me'],
    ['parameters', 'new'],
  ]);
});

test('hostile and broken chunks are left out', () => {
  const zlib = [...deflateSync(Buffer.alloc(1000))];
  const png = withChunks(
    chunk('tEXt', bytes('no end of the keyword')),
    chunk('tEXt', [0, ...bytes('no keyword')]),
    chunk('tEXt', [...bytes('k'.repeat(80)), 0, 65]),
    chunk('iTXt', [...bytes('cut'), 0, 0]),
    chunk('iTXt', [...bytes('bad'), 0, 0, 0, 0, 0, 0xff, 0xfe]),
    chunk('iTXt', [...bytes('zip'), 0, 1, 0, 0, 0, ...zlib]),
    chunk('zTXt', [...bytes('old'), 0, 0, ...zlib]),
    chunk('tEXt', [...bytes('good'), 0, ...bytes('text')]),
    chunk('tEXt', [...bytes('good'), 0, ...bytes('second')]),
  );
  assert.deepEqual([...readPngText(png)], [['good', 'text']]);
  // A length that runs past the end, and every way to break off.
  const endless = png.slice();
  endless.set([0xff, 0xff, 0xff, 0xff], 33);
  assert.equal(readPngText(endless).size, 0);
  for (let length = 8; length < png.length; length += 7) readPngText(png.subarray(0, length));
});

test('what is not a PNG, or no keyword, is refused', () => {
  const refused = (error: unknown) => isSDError(error) && error.code === 'INVALID_OPTION';
  assert.throws(() => readPngText(Uint8Array.of(0xff, 0xd8, 0xff)), refused);
  assert.throws(() => readPngText(new Uint8Array()), refused);
  assert.throws(() => writePngText(PNG.subarray(0, 20), 'a'), refused);
  assert.throws(() => writePngText(PNG, 'a', ''), refused);
  assert.throws(() => writePngText(PNG, 'a', 'é'.repeat(80)), refused);
});

const MADE = { seed: 7, width: 512, height: 768 };

test('the text is in the form of A1111', () => {
  const text = parametersText(
    {
      prompt: 'a (lake:1.2)',
      negativePrompt: 'blurry',
      syntax: 'a1111',
      steps: 20,
      sampler: 'DPM++ 2M Karras',
      clipSkip: 1,
    },
    { ...MADE, model: 'land, scapes' },
  );
  assert.equal(
    text,
    'a (lake:1.2)\nNegative prompt: blurry\nSteps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7.5, ' +
      'Seed: 7, Size: 512x768, Model: "land, scapes", Clip skip: 2, RNG: CPU',
  );
});

test('a text of A1111 is read', () => {
  const text = `masterpiece, <lora:x:0.5>
second line: of the prompt
Negative prompt: bad,
worse
Steps: 28, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 5.5, Seed: 1234567890, Size: 640x960, Model hash: 6ce0161689, Model: v1-5-pruned, VAE: a.safetensors, Denoising strength: 0.4, Clip skip: 2, RNG: NV, Hires upscale: 1.5, Hires steps: 12, Hires upscaler: R-ESRGAN 4x+, Lora hashes: "x: aaa, y: bbb", Variation seed: 3, Variation seed strength: 0.25, Version: v1.9.4`;
  assert.deepEqual(parseParameters(text), {
    prompt: 'masterpiece, <lora:x:0.5>\nsecond line: of the prompt',
    negativePrompt: 'bad,\nworse',
    steps: 28,
    sampler: 'DPM++ 2M Karras',
    guidanceScale: 5.5,
    seed: 1234567890,
    width: 640,
    height: 960,
    clipSkip: 1,
    rng: 'cuda',
    syntax: 'a1111',
    subseed: 3,
    subseedStrength: 0.25,
    secondPass: { scale: 1.5, strength: 0.4, steps: 12 },
  });
});

test('what we write reads back to the same request', () => {
  const cases: GenerateOptions[] = [
    { prompt: 'a lake', seed: 7 },
    { prompt: '', negativePrompt: '', seed: 7 },
    {
      prompt: ' blanks \n\n kept ',
      negativePrompt: 'Steps: 20, Sampler: x, CFG scale: 1',
      seed: 7,
    },
    { prompt: 'one\nNegative prompt: two\nSteps: 1, Seed: 2, Size: 3x4', seed: 7 },
    { prompt: 'say "hi", twice: \\ \r\n', negativePrompt: 'Négative: žádné', seed: 7 },
    { prompt: 'a', seed: 7, syntax: 'a1111', steps: 3, guidanceScale: -1.5, guidanceRescale: 0.7 },
    { prompt: 'a', seed: 7, sampler: 'DDIM', eta: 0.5, clipSkip: 2, rng: 'numpy' },
    { prompt: 'a', seed: 7, subseed: 9, subseedStrength: 0.125, seamless: 'x', rng: 'cuda' },
    {
      prompt: 'a',
      seed: 7,
      seamless: true,
      vaeTiling: false,
      guidanceStart: 0.2,
      guidanceEnd: 0.8,
    },
    {
      prompt: 'a',
      seed: 7,
      timesteps: [999, 500, 1],
      schedulerOptions: { beta_end: 0.1, a: ['x, y'] },
    },
    {
      prompt: 'a',
      seed: 7,
      sigmas: [14.6, 1e-7, 0],
      secondPass: { upscaler: 'lanczos', strength: 0.3 },
    },
    { prompt: 'a', seed: 7, secondPass: {}, steps: 30, oneGenerator: true, count: 3 },
  ];
  const sized = (options: GenerateOptions): GenerateOptions => ({
    ...options,
    width: 512,
    height: 768,
  });
  for (const options of cases) {
    const read = parseParameters(parametersText(options, MADE));
    assert.deepEqual(validateOptions(read).request, validateOptions(sized(options)).request);
  }
});

test('a picture of several is told by its own prompt, seed and subseed', () => {
  const text = parametersText(
    { prompt: ['a', 'b'], negativePrompt: ['x', 'y'], count: 2, subseed: 5, subseedStrength: 0.5 },
    { ...MADE, index: 3 },
  );
  const { prompt, negativePrompt, seed, subseed, count } = parseParameters(text);
  assert.deepEqual([prompt, negativePrompt, seed, subseed, count], ['b', 'y', 7, 8, undefined]);
});

test('any text at all is read without harm, and quickly', () => {
  const pieces = [
    'Steps: ',
    'Seed:',
    '"',
    '\\',
    ',',
    ':',
    '\n',
    'a',
    ' ',
    '1',
    'Size: 9x',
    '[',
    '{',
  ];
  let state = 1;
  const random = (n: number): number => (state = (state * 48271) % 2147483647) % n;
  for (let i = 0; i < 2000; i++) {
    const text = Array.from({ length: random(40) }, () => pieces[random(pieces.length)]).join('');
    assert.equal(typeof parseParameters(text).prompt, 'string');
  }
  const began = performance.now();
  // What is quadratic takes minutes.
  for (const part of ['a:', ',', 'a ', '"\\', 'Steps: 1, ', 'a,'])
    parseParameters(part.repeat(100_000));
  assert.ok(performance.now() - began < 20_000);
});
