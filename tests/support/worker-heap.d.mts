import type { CDPSession } from 'playwright-core';

export function sampleWorkerHeap(
  devtools: CDPSession,
): Promise<() => Promise<{ heap: number; buffers: number; samples: number }>>;
