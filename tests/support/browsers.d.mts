/** A page in one of the engines. */
export interface EnginePage {
  readonly version: string;
  goto(url: string): Promise<unknown>;
  /** Runs the body of an async function in the page, with `arguments`; what it returns is JSON. */
  evaluate<T = unknown>(body: string, ...args: unknown[]): Promise<T>;
  close(): Promise<void>;
}

export const ENGINES: readonly ['chromium', 'firefox', 'webkit'];
export function openBrowser(name: 'chromium' | 'firefox' | 'webkit'): Promise<EnginePage>;
