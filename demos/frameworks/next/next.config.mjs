// A static site. With a server, send Cross-Origin-Opener-Policy: same-origin and
// Cross-Origin-Embedder-Policy: require-corp from `headers()` here: they allow threads on the CPU.
export default { output: 'export', turbopack: { root: import.meta.dirname } };
