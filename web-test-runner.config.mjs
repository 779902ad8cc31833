// Browser tests against the built package in dist/. `tests/run.mjs` names the browser.
import { existsSync, writeFileSync } from 'node:fs';
import { esbuildPlugin } from '@web/dev-server-esbuild';
import { defaultReporter } from '@web/test-runner';
import { chromeLauncher } from '@web/test-runner-chrome';
import { findBrowser } from './tests/find-browser.mjs';

const name = process.env.SD_BROWSER ?? 'chromium';
const executablePath = process.env.SD_BROWSER_PATH ?? (await findBrowser(name));

// Root has no sandbox to offer; WebGPU runs on SwiftShader where there is no GPU.
const CHROMIUM_ARGS = [
  ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
];

/** WebGPU on Linux is behind these, and finds Mesa's lavapipe only when it is named. */
const FIREFOX_PREFS = { 'dom.webgpu.enabled': true, 'gfx.webgpu.ignore-blocklist': true };
const firefoxEnv = () => {
  const lavapipe = '/usr/share/vulkan/icd.d/lvp_icd.json';
  const driver = existsSync(lavapipe) ? { VK_DRIVER_FILES: lavapipe } : {};
  return { ...driver, ...process.env, LP_NATIVE_VECTOR_WIDTH: '128' };
};

/**
 * Files named `*.KIND.test.ts` run by themselves: `plain` on pages that are not cross-origin isolated,
 * `gpu` because software that plays a GPU takes minutes.
 */
const KINDS = ['plain', 'gpu'];
const kind = process.env.SD_KIND;
const files = (name) => `tests/browser/**/*${name}.test.ts`;
const isolate = (context, next) => {
  if (kind !== 'plain') {
    context.set('Cross-Origin-Opener-Policy', 'same-origin');
    context.set('Cross-Origin-Embedder-Policy', 'require-corp');
  }
  context.set('Cross-Origin-Resource-Policy', 'cross-origin');
  return next();
};

/** Writes how many tests passed and failed where `tests/run.mjs` looks for it. */
const counts = () => {
  const count = (suite) => {
    const own = suite?.tests.filter((test) => !test.skipped) ?? [];
    const passed = own.filter((test) => test.passed).length;
    return (suite?.suites ?? [])
      .map(count)
      .reduce(
        (sum, one) => ({ passed: sum.passed + one.passed, failed: sum.failed + one.failed }),
        { passed, failed: own.length - passed },
      );
  };
  return {
    stop({ sessions }) {
      const total = { passed: 0, failed: 0 };
      for (const session of sessions) {
        const { passed, failed } = count(session.testResults);
        total.passed += passed;
        // A page that broke before or outside its tests counts as one failure.
        total.failed += failed === 0 && !session.passed ? 1 : failed;
      }
      if (process.env.SD_COUNTS) writeFileSync(process.env.SD_COUNTS, JSON.stringify(total));
    },
  };
};

export default {
  files: kind ? [files(`.${kind}`)] : [files(''), ...KINDS.map((one) => `!${files(`.${one}`)}`)],
  rootDir: '.',
  nodeResolve: true,
  concurrency: 1,
  testsFinishTimeout: 900_000,
  browserStartTimeout: 60_000,
  testFramework: { config: { ui: 'bdd', timeout: kind === 'gpu' ? 600_000 : 120_000 } },
  middleware: [isolate],
  plugins: [esbuildPlugin({ ts: true, target: 'es2022' })],
  reporters: [defaultReporter({ reportTestResults: true, reportTestProgress: false }), counts()],
  browsers: [
    chromeLauncher({
      launchOptions:
        name === 'firefox'
          ? {
              browser: 'firefox',
              executablePath,
              extraPrefsFirefox: FIREFOX_PREFS,
              env: firefoxEnv(),
            }
          : { executablePath, args: CHROMIUM_ARGS },
      concurrency: 1,
    }),
  ],
};
