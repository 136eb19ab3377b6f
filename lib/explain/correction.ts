import { percentOf, type Evidence } from './evidence.js';
import { regionList } from './sentences/regionNames.js';

/**
 * What the language model is told when an answer contradicts the evidence, before it may answer again. Explainers are
 * trained for this wording.
 */
export function correctionText(evidence: Evidence, question: string): string {
  const { score, extent } = percentOf(evidence);
  const { verdict, confidence, namedRegions } = evidence;
  const marked = extent === null ? '' : `${extent}% of the face is marked, `;
  const regions =
    namedRegions.length === 0 ? 'no region stands out' : `the regions named are ${regionList(namedRegions)}`;
  return (
    `That is not supported by the evidence. Evidence: the face is ${verdict}, the forgery score is ${score}%, ` +
    `${confidence} sure, ${marked}${regions}. Answer again: ${question}`
  );
}
