import { StableDiffusion } from '../../dist/index.js';
import { equal, ok } from './assert.ts';

describe('availability', () => {
  it('says what this browser can run, and why not where it cannot', async () => {
    const { backend, webgpu, wasm } = await StableDiffusion.availability();
    equal(wasm.available, true);
    equal(wasm.reason, undefined);
    equal(wasm.threads, crossOriginIsolated);
    // No test machine has a real GPU, and a played one is not taken by `auto`.
    if (!webgpu.available) ok(webgpu.reason, 'a reason');
    if (!webgpu.available || webgpu.software) equal(backend, 'wasm');
  });
});
