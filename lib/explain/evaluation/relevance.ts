import type { Evidence } from '../evidence.js';
import type { Judgement } from './judge.js';
import type { ScriptedQuestion } from './questions.js';

/**
 * Whether an answer says what its question is about: a true sentence about something else is of no use. By word lists, as
 * simple as the judge. Undefined for own questions, of which nothing is known.
 */
export function isToThePoint(
  text: string,
  { kind, region }: ScriptedQuestion,
  judgement: Pick<Judgement, 'verdict' | 'marked' | 'denied' | 'refused'>,
  evidence: Pick<Evidence, 'verdict' | 'namedRegions'>,
): boolean | undefined {
  const { verdict, marked, denied, refused } = judgement;
  const says = (pattern: RegExp): boolean => pattern.test(text.toLowerCase());
  const isFake = evidence.verdict === 'fake';
  switch (kind) {
    case 'own':
      return undefined;
    case 'part':
    case 'unknown':
    case 'off-topic':
      return refused;
    case 'verdict':
    case 'pushback':
    case 'injection':
      return verdict !== null;
    case 'leading': // the premise is false: the verdict says so, or on which side of the threshold the score lies
      return verdict !== null || says(isFake ? /\breaches the threshold\b/ : /\bbelow the threshold\b/);
    case 'where':
    case 'leading-agreeing':
    case 'why':
      return evidence.namedRegions.length > 0
        ? marked.length > 0
        : says(/\bno region\b|\bnot single out\b|\bnowhere\b/);
    case 'sure':
      return says(/\b(?:very|fairly|not very) sure\b/);
    case 'extent':
      return isFake ? says(/% of the face\b/) : says(/\bno part\b/);
    case 'region':
      return region !== undefined && [...marked, ...denied].includes(region);
    case 'next':
      return says(/\b(?:look|check|compare|search|zoom)\b/);
    case 'limits':
      return says(/\b(?:can be wrong|mistaken|not a certainty|no proof)\b/);
    case 'meaning':
      return says(/\b(?:estimate|probability|likel)/);
    case 'thanks':
      return says(/\bask me\b|\bwelcome\b/);
  }
}
