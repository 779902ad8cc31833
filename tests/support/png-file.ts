import { crc32, deflateSync, inflateSync } from 'node:zlib';
import type { Picture } from '../../sdk/image.ts';

/** A PNG without any text, as a canvas would write it, for Node. */
export function encodePng({ width, height, data }: Picture): Uint8Array {
  const chunk = (type: string, body: Uint8Array): Buffer => {
    const named = Buffer.concat([Buffer.from(type, 'latin1'), body]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(body.length);
    sum.writeUInt32BE(crc32(named));
    return Buffer.concat([length, named, sum]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 6], 8); // 8 bits, RGBA
  const lines = Buffer.alloc((4 * width + 1) * height);
  for (let y = 0; y < height; y++)
    lines.set(data.subarray(4 * width * y, 4 * width * (y + 1)), (4 * width + 1) * y + 1);
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(lines)),
    chunk('IEND', new Uint8Array()),
  ]);
}

/** The pixels of a PNG that {@link encodePng} made, whatever chunks it was given since. */
export function decodePng(png: Uint8Array): Picture {
  const file = Buffer.from(png.buffer, png.byteOffset, png.byteLength);
  let [width, height, at] = [0, 0, 8];
  const bodies: Uint8Array[] = [];
  while (at < file.length) {
    const type = file.toString('latin1', at + 4, at + 8);
    const body = file.subarray(at + 8, at + 8 + file.readUInt32BE(at));
    if (type === 'IHDR') [width, height] = [body.readUInt32BE(0), body.readUInt32BE(4)];
    if (type === 'IDAT') bodies.push(body);
    at += body.length + 12;
  }
  const lines = inflateSync(Buffer.concat(bodies));
  const data = new Uint8ClampedArray(4 * width * height);
  for (let y = 0; y < height; y++) {
    const start = (4 * width + 1) * y + 1;
    data.set(lines.subarray(start, start + 4 * width), 4 * width * y);
  }
  return { width, height, data };
}
