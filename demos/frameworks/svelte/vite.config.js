import { svelte } from '@sveltejs/vite-plugin-svelte';

// Together these allow threads on the CPU; a server in production should send them too.
const headers = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};
export default { plugins: [svelte()], server: { headers }, preview: { headers } };
