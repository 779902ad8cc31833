import { StableDiffusion } from '../../dist/index.js';
import { equal } from './assert.ts';
import { TINY } from './tiny-model.ts';

const [WIDTH, HEIGHT] = [48, 32];
const CORNERS = ['red', 'lime', 'blue', 'white'] as const;
/** Which corner of the file is seen at the top left, top right, bottom left and bottom right. */
const UPRIGHT: Readonly<Record<number, readonly number[]>> = {
  1: [0, 1, 2, 3],
  2: [1, 0, 3, 2],
  3: [3, 2, 1, 0],
  4: [2, 3, 0, 1],
  5: [0, 2, 1, 3],
  6: [2, 0, 3, 1],
  7: [3, 1, 2, 0],
  8: [1, 3, 0, 2],
};

/** A JPEG of four corners, with what EXIF says of how the camera was held. */
async function photograph(orientation: number): Promise<Blob> {
  const canvas = new OffscreenCanvas(WIDTH, HEIGHT);
  const context = canvas.getContext('2d')!;
  CORNERS.forEach((colour, i) => {
    context.fillStyle = colour;
    context.fillRect((i % 2) * 24, Math.floor(i / 2) * 16, 24, 16);
  });
  const blob = await canvas.convertToBlob({ type: 'image/jpeg', quality: 1 });
  const jpeg = new Uint8Array(await blob.arrayBuffer());
  const exif = Uint8Array.of(
    ...[0xff, 0xe1, 0, 34, 0x45, 0x78, 0x69, 0x66, 0, 0], // APP1 of 34 bytes, "Exif"
    ...[0x4d, 0x4d, 0, 42, 0, 0, 0, 8, 0, 1], // big-endian TIFF, one tag
    ...[0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0], // orientation, a short
  );
  return new Blob([jpeg.subarray(0, 2), exif, jpeg.subarray(2)], { type: 'image/jpeg' });
}

describe('a photograph is taken as it is seen', () => {
  let sd: StableDiffusion;
  before(async () => {
    sd = await StableDiffusion.load(TINY, { backend: 'wasm', keep: false });
  });
  after(() => sd.dispose());

  for (const [orientation, corners] of Object.entries(UPRIGHT))
    it(`EXIF orientation ${orientation}`, async () => {
      const turned = Number(orientation) > 4;
      const [width, height] = turned ? [HEIGHT, WIDTH] : [WIDTH, HEIGHT];
      // What a canvas shows of it is what the run must start from.
      const seen = new OffscreenCanvas(width, height).getContext('2d')!;
      const [cellWidth, cellHeight] = [width / 2, height / 2];
      corners.forEach((corner, i) => {
        seen.fillStyle = CORNERS[corner];
        seen.fillRect((i % 2) * cellWidth, Math.floor(i / 2) * cellHeight, cellWidth, cellHeight);
      });
      const upright = seen.getImageData(0, 0, width, height);
      const options = { prompt: 'the lake', steps: 2, strength: 0.5, seed: 1 };
      const [photo, drawn] = [
        await sd.generate({ ...options, image: await photograph(Number(orientation)) }),
        await sd.generate({ ...options, image: upright }),
      ];
      equal([photo.image.width, photo.image.height], [width, height]);
      const off = photo.image.data.reduce(
        (sum, value, i) => sum + Math.abs(value - drawn.image.data[i]),
        0,
      );
      // JPEG changes the colours at the borders a little; another way up would be far off.
      equal(off / photo.image.data.length < 3, true, `${off / photo.image.data.length}`);
    });
});
