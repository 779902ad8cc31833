/** WGSL by file name, shortened as the package has it. */
export function minifyKernels(sources: Readonly<Record<string, string>>): Record<string, string>;
