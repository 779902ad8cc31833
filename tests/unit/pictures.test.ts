import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { isSDError } from '../../sdk/errors.ts';
import type { Picture } from '../../sdk/image.ts';
import { gaussianBlur } from '../../sdk/pipeline/blur.ts';
import { covering, cropRegion, cut, filled } from '../../sdk/pipeline/crop.ts';
import { prepareInpainting } from '../../sdk/pipeline/inpaint.ts';
import { maskOf, maskOfHoles } from '../../sdk/pipeline/pixels.ts';

// Made by tests/reference/pictures.py with Pillow and diffusers.
const url = new URL('../fixtures/pictures.json.gz', import.meta.url);
const golden = JSON.parse(gunzipSync(readFileSync(url)).toString());
const { width, height } = golden as { width: number; height: number };
const mask = { width, height, channels: 1, data: Uint8Array.from(golden.mask) };
const image = texture(width, height, 3);

function texture(w: number, h: number, step: number) {
  const data = Uint8Array.from({ length: w * h * 3 }, (_, at) => {
    const [i, c] = [Math.floor(at / 3), at % 3];
    return (i * i + step * i * (c + 1)) % 256;
  });
  return { width: w, height: h, channels: 3, data };
}

const picture = ({ width, height, channels, data }: typeof image): Picture => ({
  width,
  height,
  data: Uint8ClampedArray.from({ length: width * height * 4 }, (_, i) =>
    i % 4 === 3 ? 255 : data[Math.floor(i / 4) * channels + (channels === 3 ? i % 4 : 0)],
  ),
});
const rgb = ({ data }: Picture): number[] => [...data].filter((_, i) => i % 4 !== 3);

test('the Gaussian blur is Pillow’s, byte for byte', () => {
  for (const { radius, data } of golden.blurs)
    assert.deepEqual([...gaussianBlur(mask.data, width, height, radius)], data, `${radius}`);
});

test('the region to paint is that of diffusers', () => {
  for (const { width: w, height: h, padding, region } of golden.regions) {
    const { left, top, right, bottom } = cropRegion(mask, w, h, padding);
    assert.deepEqual([left, top, right, bottom], region);
  }
});

test('crops are resized to fill and to cover as diffusers does it', () => {
  for (const { box, width: w, height: h, ...expected } of golden.resizes) {
    const [left, top, right, bottom] = box;
    const part = cut(image, { left, top, right, bottom });
    assert.deepEqual([...filled(part, w, h).data], expected.filled);
    assert.deepEqual([...covering(part, w, h).data], expected.covering);
  }
});

test('what was painted is laid into the picture as diffusers does it', () => {
  const { blur, padding, cropped, whole } = golden.overlay;
  const options = { width: 24, height: 24, blur };
  const painted = picture(texture(24, 24, 5));
  const inRegion = prepareInpainting(picture(image), picture(mask), { ...options, padding });
  assert.deepEqual(rgb(inRegion.finish(painted)), cropped);
  const inWhole = prepareInpainting(picture(image), picture(mask), {
    ...options,
    padding: undefined,
  });
  assert.deepEqual(rgb(inWhole.finish(painted)), whole);
});

test('without blur and padding a painted picture is left as it is', () => {
  const options = { width: 24, height: 24, blur: 0, padding: undefined };
  const painted = picture(texture(24, 24, 5));
  assert.equal(prepareInpainting(picture(image), picture(mask), options).finish(painted), painted);
});

test('strokes on a transparent canvas are the mask; so are the holes of a picture', () => {
  const data = Uint8ClampedArray.of(255, 255, 255, 0, 255, 255, 255, 255, 255, 255, 255, 128);
  const drawn = { width: 3, height: 1, data };
  assert.deepEqual([...maskOf(drawn).data], [0, 255, 128]);
  assert.deepEqual([...maskOfHoles(drawn).data], [255, 0, 127]);
  const options = { width: 3, height: 1, blur: 0, padding: undefined };
  assert.deepEqual([...prepareInpainting(drawn, 'alpha', options).mask], [1, 0, 0]);
});

test('a mask of another size and an empty one are refused', () => {
  const options = { width: 24, height: 24, blur: 0, padding: 4 };
  const refused = (given: Picture) => () => prepareInpainting(picture(image), given, options);
  const is = (pattern: RegExp) => (error: unknown) =>
    isSDError(error) && error.code === 'INVALID_OPTION' && pattern.test(error.message);
  assert.throws(refused(picture(texture(8, 8, 1))), is(/8×8 .* 30×22/));
  const empty = { width, height, data: new Uint8ClampedArray(width * height * 4) };
  assert.throws(refused(empty), is(/empty/));
});
