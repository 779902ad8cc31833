import { SDError } from '../errors.ts';

/**
 * A file of the SDK itself.
 * @param asset its URL, or what is in it
 * @throws SDError NETWORK
 */
export async function assetBytes(
  asset: string | ArrayBuffer,
  signal: AbortSignal,
): Promise<ArrayBuffer> {
  if (typeof asset !== 'string') return asset;
  try {
    const response = await fetch(asset, { signal });
    if (!response.ok) throw new Error(`status ${response.status}`);
    return await response.arrayBuffer();
  } catch (cause) {
    throw new SDError(
      'NETWORK',
      `${asset} could not be fetched. It belongs to the SDK: serve the wasm folder next to its script, and let a Content-Security-Policy allow its host in connect-src.`,
      { cause, retryable: true },
    );
  }
}
