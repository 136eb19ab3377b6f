import type { Answer, Claim, ClaimKind } from '../answerDocument.js';
import { checkClaims } from '../claims/checkClaims.js';
import type { Evidence } from '../evidence.js';
import { judge } from './judge.js';
import type { ScriptedQuestion } from './questions.js';
import { isToThePoint } from './relevance.js';
import type { AnswerRow, ClaimCounts, TextReading } from './rows.js';

const NO_CLAIMS: ClaimCounts = { supported: 0, contradicted: 0, uncheckable: 0 };

function counted(claims: readonly Claim[]): ClaimCounts {
  const counts = { ...NO_CLAIMS };
  for (const { status } of claims) counts[status === 'not checkable' ? 'uncheckable' : status] += 1;
  return counts;
}

function byKind(claims: readonly Claim[]): TextReading['byKind'] {
  const kinds = new Set<ClaimKind>(claims.map(({ kind }) => kind));
  return Object.fromEntries(
    [...kinds].map((kind) => [kind, counted(claims.filter((claim) => claim.kind === kind))]),
  );
}

/** What the claims on one region come to. */
function statusOn(region: string | undefined, claims: readonly Claim[]): TextReading['asked'] {
  const on = claims.filter(({ kind, value }) => kind === 'region' && value === region);
  if (region === undefined || on.length === 0) return null;
  if (on.some(({ status }) => status === 'contradicted')) return 'contradicted';
  return on.some(({ status }) => status === 'supported') ? 'supported' : null;
}

/** Reads one text twice: with the checker and with the second judge. */
export function readText(text: string, question: ScriptedQuestion, evidence: Evidence): TextReading {
  const { claims, omitted } = checkClaims(text, evidence, { question: question.text });
  const judgement = judge(text, question.kind, evidence);
  const asserted = claims.filter(({ kind, polarity }) => kind === 'region' && polarity === 'asserted');
  return {
    text,
    claims: counted(claims),
    byKind: byKind(claims),
    regions: [...new Set(asserted.flatMap(({ value }) => (typeof value === 'string' ? [value] : [])))],
    omitted,
    asked: statusOn(question.region, claims),
    judge: judgement,
    toThePoint: isToThePoint(text, question, judgement, evidence) ?? null,
  };
}

/** What the evaluation keeps of an answer. Texts are read anew: the figures do not trust what the answer says of itself. */
export function readAnswer(answer: Answer, question: ScriptedQuestion, evidence: Evidence): AnswerRow {
  const [first] = answer.rounds;
  const { tokens, timing, source, fallback, replaced, stop } = answer;
  return {
    kind: question.kind,
    question: question.text,
    region: question.region ?? null,
    first: readText(first?.text ?? answer.text, question, evidence),
    end: readText(answer.text, question, evidence),
    ...{ source, fallback, replaced, stop },
    rounds: answer.rounds.map(({ text }) => text),
    promptTokens: tokens.prompt,
    generatedTokens: tokens.generated,
    firstPromptTokens: first?.tokens.prompt ?? 0,
    firstTokenMs: timing.firstTokenMs,
    totalMs: timing.totalMs,
  };
}
