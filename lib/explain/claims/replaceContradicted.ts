import type { CheckedText, Claim, Replacement } from '../answerDocument.js';
import type { Evidence } from '../evidence.js';
import { readQuestion } from '../questions/readQuestion.js';
import {
  answerFromEvidence,
  confidenceSentence,
  extentSentence,
  partSentence,
  regionSentence,
  relationSentence,
  scoreSentence,
  verdictSentence,
  whereSentence,
} from '../sentences/answerFromEvidence.js';
import { REGION_NAMES } from '../sentences/regionNames.js';
import { checkClaims } from './checkClaims.js';
import { splitSentences } from './sentenceSplit.js';

export interface ReplacedText {
  text: string;
  /** In the order of the text; empty: nothing was contradicted. */
  replaced: Replacement[];
  /** The claims of the new text; none is contradicted. */
  checked: CheckedText;
}

const isRegion = (value: Claim['value']): value is string =>
  typeof value === 'string' && REGION_NAMES.some((name) => name === value);

/** The evidence's own sentence about what a claim is about. */
function sentenceFor(claim: Claim, evidence: Evidence, question: string): string {
  switch (claim.kind) {
    case 'verdict':
    case 'other':
      return verdictSentence(evidence);
    case 'score':
      return scoreSentence(evidence);
    case 'threshold':
      return typeof claim.value === 'string' ? relationSentence(evidence) : scoreSentence(evidence);
    case 'extent':
      return extentSentence(evidence);
    case 'confidence':
      return confidenceSentence(evidence);
    case 'region': {
      const { intent } = readQuestion(question);
      const asked = intent === 'region' || intent === 'part';
      if (isRegion(claim.value) && (asked || claim.polarity === 'denied'))
        return regionSentence(claim.value, evidence);
      if (asked && typeof claim.value === 'string' && claim.value !== 'any' && !/\d/.test(claim.value))
        return partSentence(claim.value);
      return whereSentence(evidence);
    }
  }
}

/** Why each sentence that must go goes: its first contradicted claim, or regions that it leaves out. */
function faultsOf(
  checked: CheckedText,
  evidence: Evidence,
  question: string,
): Map<number, Omit<Replacement, 'was'>> {
  const faults = new Map<number, Omit<Replacement, 'was'>>();
  for (const claim of checked.claims)
    if (claim.status === 'contradicted' && !faults.has(claim.sentence))
      faults.set(claim.sentence, { now: sentenceFor(claim, evidence, question), reason: claim.reason });
  if (checked.omitted.length === 0) return faults;
  const where = { now: whereSentence(evidence), reason: `It leaves out ${checked.omitted.join(', ')}.` };
  for (const { kind, polarity, sentence } of checked.claims)
    if (kind === 'region' && polarity === 'asserted' && !faults.has(sentence)) faults.set(sentence, where);
  return faults;
}

/** The text with the sentences exchanged; a sentence that stands in it already is not repeated. */
function exchange(
  text: string,
  faults: ReadonlyMap<number, Omit<Replacement, 'was'>>,
): { text: string; replaced: Replacement[] } {
  const replaced: Replacement[] = [];
  const written = new Set<string>();
  let result = '';
  let end = 0;
  for (const [index, sentence] of splitSentences(text).entries()) {
    const was = text.slice(sentence.start, sentence.end);
    const fault = faults.get(index);
    const now = fault?.now ?? was;
    if (fault) replaced.push({ was, ...fault });
    const repeated = written.has(now);
    if (!repeated) result += `${text.slice(end, sentence.start)}${now}`;
    written.add(now);
    end = sentence.end;
  }
  return { text: result.trim(), replaced };
}

/**
 * Exchanges each sentence that contradicts the evidence, or leaves out a named region where it says where, for the
 * evidence's own sentence of the same kind. Where all or what is left would still contradict it, the whole text becomes
 * the answer that the evidence gives to the question.
 */
export function replaceContradicted(text: string, evidence: Evidence, question?: string): ReplacedText {
  const asked = question ?? 'Is this face real or fake?';
  const options = question === undefined ? {} : { question };
  const before = checkClaims(text, evidence, options);
  const faults = faultsOf(before, evidence, asked);
  if (faults.size === 0) return { text, replaced: [], checked: before };
  const { text: mended, replaced } = exchange(text, faults);
  const after = checkClaims(mended, evidence, options);
  const sound = after.omitted.length === 0 && after.claims.every(({ status }) => status !== 'contradicted');
  if (sound && faults.size < splitSentences(text).length) return { text: mended, replaced, checked: after };
  const whole = answerFromEvidence(asked, evidence);
  const reason = replaced[0]?.reason ?? '';
  return {
    text: whole,
    replaced: [{ was: text, now: whole, reason }],
    checked: checkClaims(whole, evidence, options),
  };
}
