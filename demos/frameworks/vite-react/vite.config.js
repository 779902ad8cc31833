import react from '@vitejs/plugin-react';

// Together these allow threads on the CPU; a server in production should send them too.
const headers = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};
export default { plugins: [react()], server: { headers }, preview: { headers } };
