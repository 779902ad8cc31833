// Modules that rollup.config.mjs makes.

/** The WGSL files of kernels/ by name. */
declare module 'virtual:kernels' {
  const sources: Readonly<Record<string, string>>;
  export default sources;
}

/** The text of dist/worker.js. */
declare module 'virtual:worker' {
  const script: string;
  export default script;
}

/** The WebAssembly modules by file name, as base64. */
declare module 'virtual:wasm' {
  const modules: Readonly<Record<string, string>>;
  export default modules;
}
