/** What a helper thread is told when it starts. */
export interface ThreadStart {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** Address of the thread's own scratch. */
  readonly scratch: number;
  readonly epoch: number;
}

/** The port of a helper thread to its owner: a worker's global scope, or Node's `parentPort`. */
export interface ThreadPort {
  postMessage(message: 'ready'): void;
}

/** The life of a helper thread: blocks in the engine until the engine is disposed of. */
export function serveThread(port: ThreadPort, start: ThreadStart): void {
  const instance = new WebAssembly.Instance(start.module, { env: { memory: start.memory } });
  port.postMessage('ready');
  (instance.exports.serve as (scratch: number, epoch: number) => void)(start.scratch, start.epoch);
}
