import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import type { AxeResults } from 'axe-core';
import type { Answer, Claim } from '../../lib/explain/answerDocument.js';
import { describeCheck, describeNumbers, describeVoice, voiceOf } from '../../lib/report/answerWords.js';
import { dialogueSection } from '../../lib/report/dialogueSection.js';
import { ReportWriter } from '../../lib/report/reportWriter.js';
import { sampleAnswer } from '../explain/sampleAnswer.js';
import { detectedFace } from '../kfd/fakeDetection.js';
import { describeInBrowser, inPage } from './flowBrowser.js';

const VERDICT = sampleAnswer('Is it fake?', 'This face looks fake: the forgery score is 91%.');
const TOOL = sampleAnswer('How?', 'This face looks fake, and it was generated with a diffusion model.');
const REPLACED: Answer = sampleAnswer('Where?', 'The strongest traces are at the nose.', {
  replaced: [{ was: 'The <b>chin</b> is manipulated.', now: 'x', reason: 'the detector names the nose' }],
});

describe('report: dialogue', () => {
  it('underlines claims where they stand, each by its status, and says the same in a table', () => {
    const html = dialogueSection([VERDICT, TOOL], 1);
    for (const { text } of VERDICT.claims)
      assert.ok(html.includes(`<span class="claim supported">${text}</span>`), text);
    assert.match(html, /<span class="claim unknown">[^<]*diffusion model/);
    assert.match(html, /<th scope="row">[^<]+<\/th><td>supported<\/td><td>verdict<\/td><td>[^<]*0\.91/);
    assert.match(html, /Answers by small-model through soft prompts, checked against the numbers/);
  });

  it('keeps the text whole, also where claims overlap', () => {
    const claim = (start: number, end: number): Claim => ({
      ...(VERDICT.claims[0] as Claim),
      ...{ start, end, text: VERDICT.text.slice(start, end) },
    });
    const overlapping = { ...VERDICT, claims: [claim(10, 20), claim(0, 15), claim(18, 25), claim(30, 30)] };
    const [, shown = ''] = /<dd><p>(.*?)<\/p>/.exec(dialogueSection([overlapping], 1)) ?? [];
    assert.equal(shown.replace(/<[^>]+>/g, ''), VERDICT.text);
    assert.equal([...shown.matchAll(/<span/g)].length, 2, 'the first of each overlap');
  });

  it('strikes out what was replaced, with the reason', () => {
    const html = dialogueSection([REPLACED], 1);
    assert.match(
      html,
      /<del>The &lt;b&gt;chin&lt;\/b&gt; is manipulated\.<\/del> the detector names the nose/,
    );
  });

  it('escapes everything that comes from outside', () => {
    const hostile = `<script>x</script><img src="http://localhost:9/" onerror='y'>&`;
    const html = dialogueSection(
      [
        sampleAnswer(hostile, hostile, {
          ...{ conditioning: 'sentences', fallback: hostile },
          replaced: [{ was: hostile, now: hostile, reason: hostile }],
          claims: [{ ...(VERDICT.claims[0] as Claim), start: 0, end: 9, text: hostile, reason: hostile }],
        }),
      ],
      1,
    );
    assert.ok(!/<script|<img|onerror='/.test(html), html);
  });

  it('is not there where nothing was asked', () => assert.equal(dialogueSection([], 1), ''));

  it('says who speaks, what the check changed and what it cannot tell', () => {
    const silent = {
      ...voiceOf(VERDICT),
      conditioning: 'sentences' as const,
      fallback: 'none there. Fetch it.',
    };
    assert.match(describeVoice(silent), /no language model: none there\. Fetch it\./);
    assert.match(describeVoice({ ...voiceOf(VERDICT), checked: false }), /NOT checked/);
    assert.deepEqual(describeCheck(VERDICT), []);
    assert.match(
      describeCheck(REPLACED).join('\n'),
      /one sentence .* was replaced\n {2}was: .*chin.*\(the detector/,
    );
    assert.match(describeCheck(TOOL).join('\n'), /not checkable: ".*diffusion/);
    const wrong = sampleAnswer('Is it fake?', 'This face is real.', { checked: false });
    assert.match(describeCheck(wrong).join('\n'), /contradicted: ".*real/);
    const score = VERDICT.claims.find(({ kind }) => kind === 'score');
    assert.match(describeNumbers(score as Claim), /0\.91/);
  });

  it('shortens what was replaced to a line', () => {
    const was = 'On and on.\n\n'.repeat(80);
    const [, line = ''] = describeCheck({ ...REPLACED, replaced: [{ was, now: '', reason: 'why' }] });
    assert.ok(line.length < 300 && !line.includes('\n') && line.endsWith('(why)'), line);
  });
});

describeInBrowser('report: dialogue page for everybody', (tester) => {
  it('axe finds nothing, and nothing runs or is fetched', async () => {
    const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
    const folder = await mkdtemp(path.join(os.tmpdir(), 'kfd-dialogue-'));
    try {
      const report = await ReportWriter.create(path.join(folder, 'report'));
      await report.add(detectedFace('a.jpg', 0.97), { dialogues: [[VERDICT, TOOL, REPLACED]] });
      const file = await report.finish();
      assert.ok(!/<script/i.test(await readFile(file, 'utf8')));
      for (const colorScheme of ['light', 'dark'] as const) {
        const { page, requests } = await tester().openFile(file, { colorScheme });
        for (const summary of await page.locator('summary').all()) await summary.click();
        await page.evaluate(axe);
        const results = await inPage<AxeResults>(page, 'axe.run()');
        assert.ok(results.passes.length > 15, 'axe has looked');
        const found = results.violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html ?? ''}`);
        assert.deepEqual(found, []);
        assert.deepEqual(requests, []);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
