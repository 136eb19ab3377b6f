import type { Answer } from '../../lib/explain/answerDocument.js';
import { checkClaims } from '../../lib/explain/claims/checkClaims.js';
import { evidenceOfFace } from '../../lib/explain/evidence.js';
import { plainFace } from './realExplainer.js';

/** An answer with its claims as the check finds them, for what only prints or draws answers. */
export function sampleAnswer(question: string, text: string, changes: Partial<Answer> = {}): Answer {
  const evidence = evidenceOfFace(plainFace());
  const { claims, omitted } = checkClaims(text, evidence, { question });
  const { score, threshold, verdict, confidence, namedRegions, extent } = evidence;
  return {
    schema: 'kfd.answer/1',
    question,
    text,
    conditioning: 'prompts',
    source: 'model',
    fallback: null,
    claims,
    omitted,
    checked: true,
    rounds: [],
    replaced: [],
    evidence: { score, threshold, verdict, confidence, namedRegions, extent },
    tokens: { prompt: 0, generated: 0 },
    timing: { firstTokenMs: null, totalMs: 1 },
    stop: 'end',
    models: {
      detector: null,
      languageModel: { name: 'small-model', sha256: 'cd'.repeat(32) },
      adapter: null,
      prompts: null,
    },
    ...changes,
  };
}
