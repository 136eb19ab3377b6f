import type { AnswerRound, AnswerTokens, CheckedText, Replacement } from './answerDocument.js';
import { checkClaims } from './claims/checkClaims.js';
import { replaceContradicted } from './claims/replaceContradicted.js';
import { readQuestion, type Intent } from './questions/readQuestion.js';
import { correctionText } from './correction.js';
import type { Evidence } from './evidence.js';
import type { AskOptions } from './options.js';
import { answerFromEvidence } from './sentences/answerFromEvidence.js';
import type { Speaker, Spoken, Turn } from './speaker.js';

export interface RoundsRequest extends AskOptions {
  speaker: Speaker;
  evidence: Evidence;
  /** What was said before. */
  history: readonly Turn[];
  question: string;
  /** Rounds in all. */
  maxRounds: number;
  /** False: one round, its claims reported as they are. */
  check: boolean;
}

export interface RoundsResult {
  text: string;
  checked: CheckedText;
  rounds: AnswerRound[];
  replaced: Replacement[];
  source: 'model' | 'evidence' | 'mixed';
  tokens: AnswerTokens;
  stop: 'end' | 'length';
  firstTokenMs: number | null;
}

/** Questions whose answer must say something about the result. */
const ABOUT_THE_RESULT: readonly Intent[] = ['verdict', 'where', 'sure', 'extent', 'why', 'region'];

/** The answer says nothing that the evidence supports though it was asked for the result: it drifted off. */
function drifted({ claims }: CheckedText, question: string): boolean {
  return (
    ABOUT_THE_RESULT.includes(readQuestion(question).intent) &&
    claims.every(({ status }) => status !== 'supported')
  );
}

function isSound(checked: CheckedText, question: string): boolean {
  const { claims, omitted } = checked;
  const contradicted = claims.some(({ status }) => status === 'contradicted');
  return omitted.length === 0 && !contradicted && !drifted(checked, question);
}

function roundOf({ text, tokens, stop }: Spoken, { claims, omitted }: CheckedText): AnswerRound {
  const count = (status: string): number => claims.filter((claim) => claim.status === status).length;
  return {
    text,
    claims: claims.length,
    supported: count('supported'),
    contradicted: count('contradicted'),
    omitted,
    tokens,
    stop,
  };
}

/** An answer that ran into `maxTokens` without its last, incomplete sentence; whole where it has no other. */
function completeSentences({ text, stop }: Spoken): string {
  if (stop === 'end') return text;
  return /^[^]*[.!?](?=\s|$)/.exec(text)?.[0] ?? text;
}

/** What stays wrong after the last round gives way to the evidence's own sentences. */
function settle(
  text: string,
  { evidence, question }: RoundsRequest,
): Pick<RoundsResult, 'text' | 'checked' | 'replaced' | 'source'> {
  const settled = replaceContradicted(text, evidence, question);
  if (drifted(settled.checked, question) || settled.text.trim() === '') {
    const own = answerWithoutModel(evidence, question);
    const reason = 'It says nothing about the result that the evidence supports.';
    return {
      text: own.text,
      checked: own.checked,
      source: own.source,
      replaced: [{ was: text, now: own.text, reason }],
    };
  }
  if (settled.replaced.length === 0) return { ...settled, source: 'model' };
  let rest = settled.text;
  for (const { now } of settled.replaced) rest = rest.replace(now, '');
  return { ...settled, source: rest.trim() === '' ? 'evidence' : 'mixed' };
}

/**
 * Asks the language model, compares what it says with the evidence, and asks again with the evidence stated while
 * rounds are left. The correction and the answers before it are part of this question only: the dialogue goes on from
 * the question and its final text.
 *
 * @throws KfdError those of Speaker.speak
 */
export async function answerInRounds(request: RoundsRequest): Promise<RoundsResult> {
  const { speaker, evidence, question, history, check, onText, onRound, signal } = request;
  const maxRounds = check ? request.maxRounds : 1;
  const started = performance.now();
  const rounds: AnswerRound[] = [];
  const turns = [...history];
  let asked = question;
  let firstTokenMs: number | null = null;
  for (let round = 1; ; round += 1) {
    const spoken = await speaker.speak({
      history: turns,
      question: asked,
      signal,
      onText: (text) => {
        firstTokenMs ??= performance.now() - started;
        onText?.(text, { round });
      },
    });
    const text = completeSentences(spoken);
    const checked = checkClaims(text, evidence, { question });
    const summary = roundOf(spoken, checked);
    rounds.push(summary);
    onRound?.(summary, { round });
    if (round < maxRounds && !isSound(checked, question)) {
      turns.push({ question: asked, answer: spoken.text });
      asked = correctionText(evidence, question);
      continue;
    }
    const outcome = check ? settle(text, request) : { text, checked, replaced: [], source: 'model' as const };
    const sum = (name: keyof AnswerTokens): number =>
      rounds.reduce((total, { tokens }) => total + tokens[name], 0);
    const tokens = { prompt: sum('prompt'), generated: sum('generated') };
    return { ...outcome, rounds, tokens, stop: spoken.stop, firstTokenMs };
  }
}

/** The answer that needs no language model. */
export function answerWithoutModel(evidence: Evidence, question: string): RoundsResult {
  const text = answerFromEvidence(question, evidence);
  return {
    text,
    checked: checkClaims(text, evidence, { question }),
    rounds: [],
    replaced: [],
    source: 'evidence',
    tokens: { prompt: 0, generated: 0 },
    stop: 'end',
    firstTokenMs: null,
  };
}
