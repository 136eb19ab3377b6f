import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import type { BrowserContextOptions, Page } from 'playwright-core';
import { flowPage } from '../../lib/report/flowPage.js';
import { viewerScript } from '../../lib/report/flowScript.js';
import { describeInBrowser, inPage, textOf } from './flowBrowser.js';
import { sampleDocument, samplePicture } from './flowSample.js';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Runs axe and names what it finds. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const results = await inPage<AxeResults>(page, 'axe.run()');
  assert.ok(results.passes.length > 20, 'axe has looked');
  return results.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' | ')}`);
}

const LOOKS: Readonly<Record<string, BrowserContextOptions>> = {
  light: { viewport: { width: 1280, height: 900 }, colorScheme: 'light' },
  dark: { viewport: { width: 1280, height: 900 }, colorScheme: 'dark' },
  'forced colours': { viewport: { width: 1280, height: 900 }, colorScheme: 'dark', forcedColors: 'active' },
  '200 % zoom': { viewport: { width: 640, height: 450 }, deviceScaleFactor: 2 },
  '320 pixels': { viewport: { width: 320, height: 640 }, hasTouch: true },
};

describeInBrowser('flow viewer: for everybody', (tester) => {
  for (const [name, options] of Object.entries(LOOKS)) {
    it(`axe finds nothing, nothing runs out of the page: ${name}`, async () => {
      const document = sampleDocument({ targets: ['forgery', 'difference:281,282'] });
      const { page } = await tester().open(
        { ...document, notes: ['class-row is poor in early blocks.'] },
        options,
      );
      await page.check('input[value=signed]');
      for (const summary of await page.locator('summary').all()) await summary.click();
      await page.focus('#stage');
      await page.keyboard.press('End');
      assert.deepEqual(await violations(page), []);
      const box = await page.locator('#stage').boundingBox();
      assert.ok(box && Math.abs(box.width / box.height - 1) < 0.01, 'the picture keeps its shape');
      const [scroll, width] = await inPage<[number, number]>(
        page,
        '[document.documentElement.scrollWidth, document.documentElement.clientWidth]',
      );
      assert.ok(scroll <= width, `${scroll} pixels of content in ${width}`);
    });
  }

  it('axe would find a fault', async () => {
    const { page } = await tester().open(sampleDocument());
    await inPage(page, "document.querySelector('#picture').removeAttribute('alt')");
    assert.match((await violations(page)).join(), /image-alt/);
  });
});

const HOSTILE =
  '</script><script>window.harm=1</script><img src="http://localhost:9/x" onerror="window.harm=2">\u2028\'"&';

describeInBrowser('flow viewer: closed to the outside', (tester) => {
  it('asks for nothing outside itself, and cannot', async () => {
    const { page, requests } = await tester().open(sampleDocument());
    assert.deepEqual(
      requests.filter((url) => !url.startsWith('data:')),
      [],
    );
    const answer = await inPage<string>(
      page,
      "fetch('http://localhost:9/').then(() => 'sent', (error) => error.name + ' ' + performance.getEntriesByType('resource').length)",
    );
    assert.match(answer, /^TypeError/);
    assert.ok(
      tester()
        .complaints.splice(0)
        .some((text) => /Content Security Policy/.test(text)),
      'its own policy forbids the request',
    );
    await inPage(
      page,
      "document.head.append(Object.assign(document.createElement('script'), { textContent: 'window.harm = 3' }))",
    );
    assert.equal(await inPage(page, 'window.harm'), undefined, 'and scripts that are not its own');
    assert.ok(tester().complaints.splice(0).length > 0);
  });

  it('shows hostile names as text', async () => {
    const document = sampleDocument({ targets: [HOSTILE, 'max'], path: `photos/${HOSTILE}` });
    const first = document.flows[0];
    assert.ok(first);
    const { page, requests } = await tester().open({
      ...document,
      model: { ...document.model, name: HOSTILE, sha256: HOSTILE, device: HOSTILE },
      notes: [HOSTILE],
      flows: [{ ...first, target: { ...first.target, description: HOSTILE } }, ...document.flows.slice(1)],
    });
    await page.selectOption('#target', { index: 1 });
    await page.selectOption('#target', { index: 0 });
    assert.equal(await inPage(page, 'window.harm'), undefined);
    assert.deepEqual(
      requests.filter((url) => !url.startsWith('data:')),
      [],
    );
    assert.equal(await page.locator('img').count(), 1);
    assert.equal(await inPage(page, "document.querySelector('#target').options[0].text"), HOSTILE.trim());
    assert.equal(await textOf(page, '#target-description'), HOSTILE.trim());
    assert.equal(await textOf(page, '.notes li'), HOSTILE.trim());
  });
});

describe('flow page', () => {
  it('carries a script without modules, under a policy of hashes', async () => {
    const document = sampleDocument();
    const html = flowPage(document, await samplePicture(document));
    const policy = /Content-Security-Policy" content="([^"]+)"/.exec(html)?.[1] ?? '';
    assert.match(
      policy,
      /^default-src 'none'; img-src data:; script-src 'sha256-[^']+'; style-src 'sha256-[^']+'/,
    );
    assert.doesNotMatch(policy, /unsafe|https?:|\*/);
    assert.doesNotMatch(html, / (?:style|on[a-z]+)="/);
    assert.doesNotMatch(viewerScript(), /^\s*(?:import|export)\b/m);
    assert.match(viewerScript(), /const module_main = /);
  });

  it('refuses a document whose arrays do not fit its grid', async () => {
    const document = sampleDocument();
    const picture = await samplePicture(document);
    const wrong = [
      { ...document, grid: [16, 15] as const },
      { ...document, blocks: 11 },
      { ...document, flows: [] },
    ];
    for (const bad of wrong)
      assert.throws(() => flowPage(bad, picture), { code: 'ERR_KFD_INVALID_ARGUMENT', message: /expected/ });
  });
});
