/** Throws unless the two are the same value, or serialise to the same JSON. */
export function equal(actual: unknown, expected: unknown, message = ''): void {
  if (Object.is(actual, expected)) return;
  const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a === undefined || a !== e) throw new Error(`${message} ${a ?? actual} is not ${e}`.trim());
}

export function ok(value: unknown, message = 'not true'): asserts value {
  if (!value) throw new Error(message);
}

/** The code of the SDError that `work` rejects with. */
export async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
  return 'did not reject';
}
