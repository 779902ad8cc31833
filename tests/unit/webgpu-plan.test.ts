import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kernelFiles } from '../parity/webgpu-device.ts';
import { reportPlan } from '../../sdk/backends/webgpu/report.ts';
import { specialise } from '../../sdk/backends/webgpu/shader.ts';
import { graphsOf, peak } from '../support/real-models.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;

test('SD 1.5 at 512² keeps to its budget of dispatches and bytes', () => {
  const graphs = graphsOf('sd1', 64);
  for (const [weights, most] of [
    ['f16', 2.6e9],
    ['i8', 1.4e9],
  ] as const) {
    const reports = Object.values(graphs).map((g) => reportPlan(g, { storage: 'f16', weights }));
    assert.ok(reports[0].perStepDispatches <= 400, `${reports[0].perStepDispatches} dispatches`);
    assert.ok(peak(reports) <= most, `${peak(reports)} bytes with ${weights} weights`);
    for (const { largestBinding } of reports) assert.ok(largestBinding <= 128 * MIB);
    // Twice 401.6 GMAC is known of the architecture; keys and values of the prompt run once.
    assert.ok(Math.abs(reports[0].flops - 4 * 401.6e9) < 2e10, `${reports[0].flops} FLOP`);
  }
});

test('SD 1.5, 2.1 and SDXL can be planned for the limits that every device has', () => {
  for (const [family, latent] of [
    ['sd1', 64],
    ['sd2', 96],
    ['sdxl', 128],
  ] as const) {
    const { unet, vae } = graphsOf(family, latent);
    const report = reportPlan(unet, { storage: 'f16x2', weights: 'f16' });
    assert.ok(report.largestBinding <= 128 * MIB);
    if (latent === 64) reportPlan(vae, { storage: 'f16x2', weights: 'f16' });
    // Pictures of 1024² decode whole where buffers may be larger, seen through small windows.
    const large = reportPlan(vae, { storage: 'f16', weights: 'f16', maxBuffer: GIB });
    assert.ok(large.largestBinding <= 128 * MIB);
  }
});

test('dispatches are cut to the work that a device can do at once', () => {
  const { unet } = graphsOf('sd1', 64);
  const whole = reportPlan(unet, { storage: 'f16', weights: 'f16' });
  const cut = reportPlan(unet, { storage: 'f16', weights: 'f16', maxFlops: 5e9 });
  assert.ok(whole.largestDispatch > 5e9);
  assert.ok(cut.largestDispatch <= 5e9, `${cut.largestDispatch} FLOP`);
  assert.ok(Math.abs(cut.flops / whole.flops - 1) < 0.01);
});

test('loops marked so are written out, and nothing else changes', () => {
  const source = `fn f() {
  for (var i = 0u; i < N; i++) { // @unroll
    a[i] = 1.0; // { not a brace
    for (var j = 0u; j < M; j++) { // @unroll
      if (i == j) { b[i * M + j] = 2.0; }
    }
  }
  for (var k = 0u; k < N; k++) {
    c[k] = 3.0;
  }
}`;
  const text = specialise({ f: source }, ['f'], { N: 2, M: 3, ON: true }, { unroll: true });
  assert.match(text, /^const N = 2u;\nconst M = 3u;\nconst ON = true;\n/);
  assert.equal(text.match(/a\[i\] = 1\.0/g)?.length, 2);
  assert.equal(text.match(/b\[i \* M \+ j\]/g)?.length, 6);
  assert.equal(text.match(/const j = 2u;/g)?.length, 2);
  assert.equal(text.match(/for \(/g)?.length, 1);
  const opened = text.match(/\{/g)!.length - text.match(/\{ not/g)!.length;
  assert.equal(opened, text.match(/\}/g)!.length);
  const plain = specialise({ f: source }, ['f'], { N: 2, M: 3 }, { unroll: false });
  assert.ok(plain.endsWith(source));
  assert.throws(() => specialise({ f: source }, ['f'], { N: 2 }, { unroll: true }), /bound M/);
});

test('every kernel file is pure WGSL: no marks but those of unrolled loops', () => {
  for (const [name, source] of Object.entries(kernelFiles())) {
    assert.ok(!/\$\{|#if|#define|%%/.test(source), name);
    for (const line of source.split('\n'))
      if (line.includes('@unroll')) assert.match(line, /^ *for \(var \w+ = 0u; .*\{ \/\/ @unroll$/);
  }
});
