import { SDError } from './errors.ts';

/** Pixels as a canvas has them: RGBA, 8 bits, row by row from the top left. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray;
}

/** What a picture can be given as. A text is a URL. */
export type ImageInput =
  | Picture
  | ImageData
  | Blob
  | ImageBitmap
  | HTMLImageElement
  | HTMLCanvasElement
  | HTMLVideoElement
  | OffscreenCanvas
  | string
  | URL;

/** A picture in memory, and the ways out of it. */
export class PixelImage implements Picture {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray<ArrayBuffer>;

  constructor(picture: Picture) {
    this.width = picture.width;
    this.height = picture.height;
    this.data = picture.data as Uint8ClampedArray<ArrayBuffer>;
  }

  /** The same pixels, not a copy. */
  toImageData(): ImageData {
    return new ImageData(this.data, this.width, this.height);
  }

  /** A copy, as `drawImage` and `transferFromImageBitmap` take it. */
  toImageBitmap(): Promise<ImageBitmap> {
    return createImageBitmap(this.toImageData());
  }

  /** Draws itself on `canvas`, which takes its size; on a new one by default. */
  toCanvas(canvas: HTMLCanvasElement = document.createElement('canvas')): HTMLCanvasElement {
    canvas.width = this.width;
    canvas.height = this.height;
    context(canvas).putImageData(this.toImageData(), 0, 0);
    return canvas;
  }

  /**
   * The picture as a file.
   * @param type `image/png` (default, exact), `image/jpeg` or `image/webp`
   * @param quality 0 … 1, for the types that lose some
   */
  async toBlob(type = 'image/png', quality?: number): Promise<Blob> {
    const surface = newCanvas(this.width, this.height);
    context(surface).putImageData(this.toImageData(), 0, 0);
    // Firefox's OffscreenCanvas has a toBlob too, of another kind.
    if ('convertToBlob' in surface) return surface.convertToBlob({ type, quality });
    return new Promise((done, fail) =>
      surface.toBlob(
        (blob) =>
          blob ? done(blob) : fail(new SDError('INTERNAL', `No ${type} could be written.`)),
        type,
        quality,
      ),
    );
  }
}

/** A finished picture. */
export class GeneratedImage extends PixelImage {
  /** Gives this picture again, alone, with the same other options. */
  readonly seed: number;

  constructor(picture: Picture, seed: number) {
    super(picture);
    this.seed = seed;
  }
}

/**
 * Reads a picture in, as RGBA, turned upright where its file says so.
 * @throws SDError INVALID_OPTION where it is not a picture or a page of another origin keeps its
 *   pixels from us; NETWORK where a URL does not answer; ABORTED
 */
export async function toPicture(input: ImageInput, signal?: AbortSignal): Promise<Picture> {
  if (isPicture(input)) return checked(input);
  let source: ImageBitmapSource;
  if (typeof input === 'string' || input instanceof URL) source = await download(input, signal);
  else source = input as ImageBitmapSource;
  let bitmap: ImageBitmap;
  try {
    if (typeof HTMLImageElement !== 'undefined' && source instanceof HTMLImageElement)
      await source.decode();
    // Firefox 153 refuses a picture whose blob was made of parts and begins with one of two bytes.
    if (source instanceof Blob) source = new Blob([await source.arrayBuffer()]);
    bitmap = await createImageBitmap(source);
  } catch (cause) {
    throw new SDError(
      'INVALID_OPTION',
      'The picture cannot be read: give a file, blob, image, canvas, ImageData or URL of a picture that this browser can show.',
      { cause },
    );
  }
  try {
    const { width, height } = bitmap;
    const surface = context(newCanvas(width, height));
    surface.drawImage(bitmap, 0, 0);
    const { data } = surface.getImageData(0, 0, width, height);
    return { width, height, data };
  } catch (cause) {
    throw new SDError(
      'INVALID_OPTION',
      'The pixels of the picture are not ours to read: it comes from another origin. Load it with crossorigin="anonymous" from a server that allows it.',
      { cause },
    );
  } finally {
    bitmap.close();
  }
}

function isPicture(input: ImageInput): input is Picture | ImageData {
  return typeof input === 'object' && input !== null && 'data' in input && 'width' in input;
}

function checked({ width, height, data }: Picture): Picture {
  const size = Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0;
  if (!size || !(data instanceof Uint8ClampedArray) || data.length !== width * height * 4)
    throw new SDError(
      'INVALID_OPTION',
      `A picture of ${width} × ${height} needs ${width * height * 4} bytes of RGBA in a Uint8ClampedArray.`,
    );
  return { width, height, data };
}

async function download(url: string | URL, signal?: AbortSignal): Promise<Blob> {
  let response: Response;
  try {
    response = await fetch(url, { signal });
  } catch (cause) {
    if (signal?.aborted)
      throw new SDError('ABORTED', 'The call was aborted.', { cause: signal.reason });
    throw new SDError('NETWORK', `The picture ${url} could not be fetched.`, {
      cause,
      retryable: true,
    });
  }
  if (!response.ok)
    throw new SDError('NETWORK', `The picture ${url} answered with status ${response.status}.`);
  return response.blob();
}

type Surface = HTMLCanvasElement | OffscreenCanvas;
type Context = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;

function newCanvas(width: number, height: number): Surface {
  if (typeof OffscreenCanvas !== 'undefined') return new OffscreenCanvas(width, height);
  return Object.assign(document.createElement('canvas'), { width, height });
}

function context(canvas: Surface): Context {
  const found = canvas.getContext('2d', { willReadFrequently: true }) as Context | null;
  if (!found) throw new SDError('INTERNAL', 'This browser gives no 2d context.');
  return found;
}
