/** The path of its executable, or undefined where there is none. */
export function findBrowser(name: 'chromium' | 'firefox'): Promise<string | undefined>;
