import { byteCharacters } from './vocabulary.ts';
import { trim } from './python-regex.ts';

const BYTES = new Map([...byteCharacters()].map(([byte, char]) => [char, byte]));

/** Text of byte-pair tokens: characters back to bytes, bytes to UTF-8, "</w>" to spaces. */
export function joinTokens(tokens: readonly string[]): string {
  const bytes: number[] = [];
  for (const char of tokens.join('')) {
    const byte = BYTES.get(char);
    if (byte !== undefined) bytes.push(byte);
    else bytes.push(...new TextEncoder().encode(char));
  }
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(new Uint8Array(bytes));
  return trim(text.replaceAll('</w>', ' '));
}
