import { serveThread, type ThreadStart } from '../backends/wasm/thread.ts';
import { THREAD } from './engines.ts';
import { openModel } from './model.ts';
import { attend, type WorkerScope } from './serve.ts';

// One file in two roles, so that an app has one worker to serve and bundlers one to find.
const scope = self as unknown as WorkerScope & { readonly name: string };
if (scope.name === THREAD)
  scope.addEventListener('message', ({ data }) => serveThread(scope, data as ThreadStart));
else attend(scope, openModel);
