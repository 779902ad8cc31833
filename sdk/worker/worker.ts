import { serveThread, type ThreadStart } from '../backends/wasm/thread.ts';
import { openModel } from './model.ts';
import { attend, type WorkerScope } from './serve.ts';

attend(self as unknown as WorkerScope, openModel, (port) => {
  port.onmessage = ({ data }: MessageEvent<ThreadStart | null>) => {
    if (data) serveThread(port, data);
    else close();
  };
});
