import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProgressReporter, type Progress } from '../../sdk/progress.ts';

function recorder() {
  const seen: Progress[] = [];
  const clock = { now: 0 };
  const reporter = new ProgressReporter(
    (progress) => seen.push(progress),
    () => clock.now,
  );
  return { seen, clock, report: reporter.report };
}

const download = (done: number, total = 1000): Progress => ({
  phase: 'download',
  unit: 'bytes',
  done,
  total,
  file: 'unet',
  fromCache: false,
});

test('the first and the last report of a phase always pass, the others ten times a second', () => {
  const { seen, clock, report } = recorder();
  for (let done = 0; done <= 1000; done += 10) {
    report(download(done));
    clock.now += 5;
  }
  assert.equal(seen[0].done, 0);
  assert.equal(seen.at(-1)!.done, 1000);
  assert.ok(seen.length <= 7, `${seen.length} reports in half a second`);
});

test('a report never falls behind the one before it', () => {
  const { seen, clock, report } = recorder();
  for (const done of [100, 300, 200, 400]) {
    report(download(done));
    clock.now += 1000;
  }
  assert.deepEqual(
    seen.map((progress) => progress.done),
    [100, 300, 400],
  );
});

test('the time left is the pace of the steps done, the first one aside', () => {
  const { seen, clock, report } = recorder();
  const step = (done: number) => report({ phase: 'denoise', unit: 'steps', done, total: 10 });
  step(0);
  clock.now = 5000; // the first step also builds what the others use
  step(1);
  for (let done = 2; done <= 6; done++) {
    clock.now += 200;
    step(done);
  }
  const left = seen.map((progress) => (progress as { secondsLeft?: number }).secondsLeft);
  assert.equal(left[0], undefined);
  assert.equal(left[1], 45);
  assert.ok(Math.abs(left[2]! - 1.6) < 1e-9);
  assert.ok(Math.abs(left.at(-1)! - 0.8) < 1e-9);
});
