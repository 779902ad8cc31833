/** The tiny random model, and what diffusers draws with it (tests/reference/tiny_folder.py). */
export const TINY = new URL('/tests/fixtures/tiny-model/', location.href).href;

interface Expected {
  readonly options: Record<string, unknown> & { prompt: string };
  readonly width: number;
  readonly height: number;
  readonly pictures: number;
  /** The pictures' RGB bytes, one after the other, as base64. */
  readonly rgb: string;
}

export interface Reference extends Omit<Expected, 'rgb'> {
  readonly rgb: Uint8Array;
}

export async function references(): Promise<Reference[]> {
  const list = (await (await fetch(`${TINY}expected.json`)).json()) as Expected[];
  return list.map(({ rgb, options, ...rest }) => ({
    ...rest,
    options: options.image === 'gradient' ? { ...options, image: gradient() } : options,
    rgb: Uint8Array.from(atob(rgb), (letter) => letter.charCodeAt(0)),
  }));
}

function gradient(): ImageData {
  const image = new ImageData(64, 64);
  for (let y = 0; y < 64; y++)
    for (let x = 0; x < 64; x++) image.data.set([4 * x, 4 * y, 128, 255], 4 * (y * 64 + x));
  return image;
}

/** The largest difference of a channel, in grey levels. */
export function farthest(images: readonly { data: Uint8ClampedArray }[], rgb: Uint8Array): number {
  const mine = images.flatMap(({ data }) => [...data].filter((_, i) => i % 4 < 3));
  if (mine.length !== rgb.length) throw new Error(`${mine.length} bytes, not ${rgb.length}`);
  return mine.reduce((worst, value, i) => Math.max(worst, Math.abs(value - rgb[i])), 0);
}
