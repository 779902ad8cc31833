/** The WGSL files of kernels/ by name; rollup.config.mjs makes it. */
declare module 'virtual:kernels' {
  const sources: Readonly<Record<string, string>>;
  export default sources;
}
