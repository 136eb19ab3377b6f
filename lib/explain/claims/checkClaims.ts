import type { CheckedText, Claim } from '../answerDocument.js';
import type { Evidence } from '../evidence.js';
import { readQuestion, type Intent } from '../questions/readQuestion.js';
import { judge, missingRegions } from './judge.js';
import { newContext, type Context, type RawClaim } from './rawClaim.js';
import { readSentence } from './readText.js';
import { splitSentences } from './sentenceSplit.js';
import { claimsOfYes, readYesNo, yesNoMeaning, type YesNo } from './yesNo.js';

export interface CheckOptions {
  /** What the text answers: "Yes" and "No" are read as answers to it. */
  question?: string;
}

/** A yes or no that cannot be resolved says something nobody can check. */
function unresolved({ start, end }: YesNo): RawClaim {
  return { kind: 'other', polarity: 'asserted', possible: false, start, end };
}

/** Questions after which a region left out does not mislead: "Is the nose manipulated?". */
const ABOUT_ONE_PLACE: ReadonlySet<Intent> = new Set<Intent>(['region', 'part', 'next']);

/** What a text is about from the start, by the question that it answers. */
function contextOf(intent: Intent | undefined, question: string): Context {
  const context = newContext(false);
  context.where = intent === 'where';
  if (intent === 'extent') context.topic = 'extent';
  else if (/\b(threshold|cut-?off)\b/i.test(question) && !/\bscore\b/i.test(question))
    context.topic = 'threshold';
  return context;
}

/**
 * Finds what a text claims about a detection and compares each claim with the evidence. For texts of any origin, in
 * English; never throws. The grammar of claims and the tolerances: docs/claims.md.
 *
 * @returns claims in the order of the text, with exact offsets, and the named regions that the text leaves out though it
 *   says where
 */
export function checkClaims(text: string, evidence: Evidence, options: CheckOptions = {}): CheckedText {
  const claims: Claim[] = [];
  const intent = options.question === undefined ? undefined : readQuestion(options.question).intent;
  const context = contextOf(intent, options.question ?? '');
  const asked = options.question === undefined ? undefined : claimsOfYes(options.question);
  for (const [index, sentence] of splitSentences(text).entries()) {
    const raw = readSentence(sentence, context);
    const answer = options.question === undefined || sentence.question ? undefined : readYesNo(sentence);
    const meant = answer ? (asked ? yesNoMeaning(answer, asked) : [unresolved(answer)]) : [];
    for (const claim of [...meant, ...raw]) {
      const { start, end, polarity } = claim;
      const { kind, status, value, evidence: compared, reason } = judge(claim, evidence);
      claims.push({
        kind,
        status,
        text: text.slice(start, end),
        start,
        end,
        sentence: index,
        polarity,
        value,
        evidence: compared,
        reason,
      });
    }
  }
  const listed = [...context.asserted];
  const where = listed.length > 0 && !(intent && ABOUT_ONE_PLACE.has(intent));
  const omitted = where ? missingRegions(evidence.namedRegions, listed) : [];
  return { claims, omitted };
}
