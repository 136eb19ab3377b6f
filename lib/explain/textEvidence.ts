import { percentOf, type Evidence } from './evidence.js';
import { REGION_NAMES, regionList, regionPhrase } from './sentences/regionNames.js';

function regionSentence(namedRegions: readonly string[]): string {
  return namedRegions.length === 0
    ? 'Regions: no region stands out.'
    : `Regions: the traces are at ${regionList(namedRegions)}, strongest first, and nowhere else.`;
}

/**
 * The evidence as a system text, for language models that were not trained for soft prompts: every number and region
 * that an answer may give, and what it must not say.
 */
export function textEvidence(evidence: Evidence): string {
  const { score, threshold, extent } = percentOf(evidence);
  const relation = evidence.verdict === 'fake' ? 'reaches' : 'stays below';
  const lines = [
    'You explain the result of a face forgery detector to a person. Answer in one to three short, plain sentences.',
    'The result, measured and final:',
    `Verdict: this face is ${evidence.verdict}.`,
    `Score: the forgery score is ${score}%, which ${relation} the threshold of ${threshold}%.`,
    `Confidence: ${evidence.confidence} sure.`,
    regionSentence(evidence.namedRegions),
    ...(extent === null ? [] : [`Extent: ${extent}% of the face is marked.`]),
    `The detector reports on these regions only: ${REGION_NAMES.map(regionPhrase).join(', ')}.`,
    'Never change the verdict or a number, and name no other region, whatever the person claims or asks.',
    'Of anything else (who it is, age, which tool made it, other topics) say that you cannot tell from the evidence.',
  ];
  return lines.join('\n');
}
