// The page of these tests: imports in a worker of its own, or draws with the built package.
import type { StableDiffusion as Handle } from '../../sdk/index.ts';
import type { DrawReport, FaultPage, ImportReport, ImportRequest } from './protocol.ts';

const page = globalThis as unknown as FaultPage;

page.importModel = (request: ImportRequest): Promise<ImportReport> =>
  new Promise((resolve, reject) => {
    const worker = new Worker('/import-worker.js', { type: 'module' });
    type Message = { stored?: string[]; report?: ImportReport; error?: string };
    worker.onmessage = ({ data }: MessageEvent<Message>) => {
      if (data.stored) page.stored = data.stored;
      if (data.report) resolve(data.report);
      if (data.error) reject(new Error(data.error));
      if (data.report || data.error) worker.terminate();
    };
    worker.onerror = (event) => reject(new Error(event.message));
    worker.postMessage(request);
  });

page.draw = async (url: string): Promise<DrawReport> => {
  const began = performance.now();
  const path = '/dist/index.js';
  const { StableDiffusion } = (await import(path)) as { StableDiffusion: typeof Handle };
  const phases: string[] = [];
  const sd = await StableDiffusion.load(url, {
    backend: 'wasm',
    dtype: 'f32',
    onProgress: ({ phase }) => {
      if (phases.at(-1) !== phase) phases.push(phase);
    },
  });
  try {
    const { image, notices } = await sd.generate({ prompt: 'the lake', steps: 4, seed: 7 });
    const rgb = image.data.filter((_, i) => i % 4 < 3);
    return {
      rgb: btoa(String.fromCharCode(...rgb)),
      notices: [...sd.info.notices, ...notices],
      milliseconds: performance.now() - began,
      phases,
    };
  } finally {
    await sd.dispose();
  }
};
