import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import type { Page } from 'playwright-core';
import { DemoSite, done } from './demo-page.ts';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
let site: DemoSite;
before(async () => (site = await DemoSite.open(8220)));
after(() => site.close());

/** What axe finds, as one line each. */
async function findings(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  return page.evaluate(async () => {
    interface Found {
      readonly violations: readonly {
        readonly id: string;
        readonly help: string;
        readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[];
      }[];
    }
    const { axe: runner } = window as unknown as { axe: { run(): Promise<Found> } };
    const { violations } = await runner.run();
    return violations.flatMap(({ id, help, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${help}: ${html} ${failureSummary ?? ''}`),
    );
  });
}

/** Pages as they come, and as they are once they have drawn. */
const PAGES = [
  '',
  '01-text-to-picture/',
  '02-negative-prompt/?draw&steps=2',
  '03-strength/?draw&steps=5',
  '04-steps/?draw&row=2,3',
  '05-samplers/?draw&steps=2',
  '06-guidance/?draw&steps=4&row=1,5',
  '07-inpainting/',
  '08-your-checkpoint/',
  '09-inside/?draw&steps=4',
  '10-embed/',
  '11-seeds/?draw&steps=2',
  'embed/',
];

for (const path of PAGES)
  test(`axe finds nothing on /demos/${path}, light and dark, on a phone`, async () => {
    const options = { viewport: { width: 390, height: 844 }, reducedMotion: 'reduce' } as const;
    const page = await site.page(path, options);
    if (path.includes('?draw')) await done(page);
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      assert.deepEqual(await findings(page), [], colorScheme);
    }
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= 390, `${wide} pixels wide`);
    const moving = await page.evaluate(() => document.getAnimations().length);
    assert.equal(moving, 0);
    await page.context().close();
  });
