/**
 * Samples the JavaScript heap of every dedicated worker of a browser, some milliseconds apart, through
 * the browser's own tools.
 *
 * @param {import('playwright-core').CDPSession} devtools of the browser, not of a page
 * @returns {Promise<() => Promise<{ heap: number, buffers: number, samples: number }>>} a function
 *   that ends it and gives the peaks, in bytes: V8's heap, and the array buffers that are not part of it
 */
export async function sampleWorkerHeap(devtools) {
  const peaks = { heap: 0, buffers: 0, samples: 0 };
  const sessions = new Map();
  const answers = new Map();
  const onMessage = ({ message }) => {
    const { id, result } = JSON.parse(message);
    answers.get(id)?.(result);
    answers.delete(id);
  };
  const sample = async (targetId) => {
    if (!sessions.has(targetId)) {
      const attached = await devtools.send('Target.attachToTarget', { targetId, flatten: false });
      sessions.set(targetId, attached.sessionId);
    }
    const id = answers.size + Math.floor(Math.random() * 2 ** 30);
    // A worker that has ended does not answer.
    const answer = new Promise((done) => {
      answers.set(id, done);
      setTimeout(done, 5000);
    });
    const message = JSON.stringify({ id, method: 'Runtime.getHeapUsage' });
    await devtools.send('Target.sendMessageToTarget', {
      sessionId: sessions.get(targetId),
      message,
    });
    const usage = await answer;
    if (!usage) return;
    peaks.samples++;
    peaks.heap = Math.max(peaks.heap, usage.usedSize);
    peaks.buffers = Math.max(peaks.buffers, usage.backingStorageSize ?? 0);
  };
  devtools.on('Target.receivedMessageFromTarget', onMessage);
  let running = true;
  const ended = (async () => {
    while (running) {
      try {
        const { targetInfos } = await devtools.send('Target.getTargets');
        for (const { targetId, type } of targetInfos) if (type === 'worker') await sample(targetId);
      } catch {
        // The worker or the browser has just ended.
      }
      await new Promise((done) => setTimeout(done, 5));
    }
  })();
  return async () => {
    running = false;
    await ended;
    devtools.off('Target.receivedMessageFromTarget', onMessage);
    return peaks;
  };
}
