import type { Claim, ClaimKind, ClaimStatus } from '../answerDocument.js';
import { percentOf, type Evidence } from '../evidence.js';
import { isCovered, partsOfRegion, regionList, regionPhrase } from '../sentences/regionNames.js';
import type { NumberRange, RawClaim } from './rawClaim.js';
import { CLAIM_TOLERANCES } from './thresholds.js';

/** A claim's outcome, without its place in the text. */
type Verdict = Pick<Claim, 'kind' | 'value' | 'evidence' | 'reason'> & { status: ClaimStatus };

/** The claims of one kind of a clause that mean the evidence: whether what is asserted holds, and the numbers. */
interface Comparison {
  kind: ClaimKind;
  value: string | number | null;
  /** Null: nothing was measured that could tell. */
  holds: boolean | null;
  evidence: Claim['evidence'];
  reason: string;
}

type Of<Kind extends RawClaim['kind']> = Extract<RawClaim, { kind: Kind }>;

/** Whether a measured percentage agrees with the stated one; the measured one may be given in two roundings. */
function agrees(range: NumberRange, measured: readonly number[], exact: number, about: number): boolean {
  const tolerance = range.bound === 'about' ? about : exact;
  const [low, high] = [range.low - tolerance, range.high + tolerance];
  return measured.some((value) => {
    if (range.bound === 'atLeast') return value >= low;
    if (range.bound === 'atMost') return value <= high;
    return value >= low && value <= high;
  });
}

/** Rounded for reasons and JSON: 91 or 12.5. */
const short = (value: number): number => Number(value.toFixed(4));

function middle({ low, high }: NumberRange): number {
  return short((low + high) / 2);
}

function numbers(evidence: Evidence): { score: number; threshold: number; verdict: string } {
  return { score: evidence.score, threshold: evidence.threshold, verdict: evidence.verdict };
}

function compareVerdict({ value }: Of<'verdict'>, evidence: Evidence): Comparison {
  const { score, threshold } = percentOf(evidence);
  const side = evidence.verdict === 'fake' ? 'reaches' : 'stays below';
  const reason = `The forgery score of ${score}% ${side} the threshold of ${threshold}%, so the verdict is ${evidence.verdict}.`;
  return { kind: 'verdict', value, holds: value === evidence.verdict, evidence: numbers(evidence), reason };
}

function compareScore({ range }: Of<'score'>, evidence: Evidence): Comparison {
  const { score } = percentOf(evidence);
  const measured = [score, 100 * evidence.score];
  const holds = agrees(range, measured, CLAIM_TOLERANCES.score, CLAIM_TOLERANCES.aboutScore);
  const reason = `The forgery score is ${score}%.`;
  return { kind: 'score', value: middle(range), holds, evidence: { score: evidence.score }, reason };
}

function compareThreshold({ range }: Of<'threshold'>, evidence: Evidence): Comparison {
  const { threshold } = percentOf(evidence);
  const holds = agrees(
    range,
    [threshold, 100 * evidence.threshold],
    CLAIM_TOLERANCES.threshold,
    CLAIM_TOLERANCES.aboutScore,
  );
  const reason = `The threshold is ${threshold}%.`;
  return {
    kind: 'threshold',
    value: middle(range),
    holds,
    evidence: { threshold: evidence.threshold },
    reason,
  };
}

function compareLevel({ high }: Of<'level'>, evidence: Evidence): Comparison {
  const { score, threshold } = percentOf(evidence);
  const holds = (evidence.verdict === 'fake') === high;
  const reason = `The forgery score is ${score}% and the threshold is ${threshold}%.`;
  return { kind: 'score', value: high ? 'high' : 'low', holds, evidence: numbers(evidence), reason };
}

function compareRelation({ relation }: Of<'relation'>, evidence: Evidence): Comparison {
  const { score, threshold } = percentOf(evidence);
  const near = evidence.confidence === 'not very';
  const fake = evidence.verdict === 'fake';
  const holds = { above: fake, below: !fake, close: near, far: !near }[relation];
  const reason = `The forgery score of ${score}% is ${fake ? 'not below' : 'below'} the threshold of ${threshold}%${near ? ', and close to it' : ''}.`;
  return {
    kind: 'threshold',
    value: relation,
    holds,
    evidence: { ...numbers(evidence), confidence: evidence.confidence },
    reason,
  };
}

function compareExtent(claim: Of<'extent'>, evidence: Evidence): Comparison {
  const { extent } = percentOf(evidence);
  const base = {
    kind: 'extent',
    value: middle(claim.range),
    evidence: { extent: evidence.extent, verdict: evidence.verdict },
  } as const;
  if (extent === null || evidence.extent === null)
    return { ...base, holds: null, reason: 'The extent was not measured for this crop.' };
  if (claim.manipulated && evidence.verdict === 'real' && claim.range.high > 0)
    return {
      ...base,
      holds: false,
      reason: 'The face counts as real, so no part of it counts as manipulated.',
    };
  const exact = claim.fraction ? 0 : CLAIM_TOLERANCES.extent;
  const holds = agrees(claim.range, [extent, 100 * evidence.extent], exact, CLAIM_TOLERANCES.aboutExtent);
  return { ...base, holds, reason: `About ${extent}% of the face is marked.` };
}

function compareConfidence({ level }: Of<'confidence'>, evidence: Evidence): Comparison {
  const { confidence } = evidence;
  const holds = level === 'sure' ? confidence !== 'not very' : level === confidence;
  const { score, threshold } = percentOf(evidence);
  const reason = `With a score of ${score}% and a threshold of ${threshold}% the verdict is ${confidence} sure.`;
  return { kind: 'confidence', value: level, holds, evidence: { ...numbers(evidence), confidence }, reason };
}

function namedReason({ namedRegions }: Evidence): string {
  return namedRegions.length === 0
    ? 'The detector names no region.'
    : `The detector names ${regionList(namedRegions)}.`;
}

/** A region named or denied. Several names: one of them is meant ("the jaw"). */
function compareRegion(claim: Of<'region'>, evidence: Evidence): Comparison {
  const { namedRegions, regions } = evidence;
  const meanOf = (name: string): number | null => regions.find((row) => row.name === name)?.score ?? null;
  const lit = (name: string): boolean => (meanOf(name) ?? 0) >= CLAIM_TOLERANCES.litMean;
  const named = claim.names.find((name) => isCovered(name, namedRegions));
  const litName = claim.names.find(lit);
  const asserted = claim.polarity === 'asserted';
  // Asserting weakly, or calling clean, concerns the map and not only the list.
  const byMean = asserted ? claim.weak : !claim.naming;
  const name = named ?? (byMean ? litName : undefined) ?? claim.names[0] ?? '';
  const holds = named !== undefined || (byMean && litName !== undefined);
  const mean = meanOf(name);
  const measured = regions.length > 0 || asserted;
  const detail =
    byMean && named === undefined && mean !== null
      ? ` The map's mean at ${regionPhrase(name)} is ${mean.toFixed(2)}.`
      : '';
  return {
    kind: 'region',
    value: name,
    holds: measured ? holds : null,
    evidence: {
      region: name,
      named: named !== undefined,
      mean: mean === null ? null : short(mean),
      namedRegions,
    },
    reason:
      detail === ''
        ? namedReason(evidence)
        : `${namedReason(evidence).slice(0, -1)}; ${detail.trim().replace(/^The/, 'the')}`,
  };
}

/** No region but some, or some region. */
function compareAny(claim: Of<'any'>, evidence: Evidence): Comparison {
  const { namedRegions, verdict } = evidence;
  const others = namedRegions.filter((name) => !coversAll(name, claim.except));
  let holds = others.length > 0;
  // "Nothing is manipulated" is false of a fake face even where no region stands out.
  if (!claim.naming && claim.except.length === 0) holds ||= verdict === 'fake';
  if (claim.count !== null) holds = namedRegions.length === claim.count;
  const value = claim.count === null ? 'any' : `${claim.count} regions`;
  return { kind: 'region', value, holds, evidence: { namedRegions, verdict }, reason: namedReason(evidence) };
}

/** Whether a named region is among `regions`, inside one of them, or made up of them. */
function coversAll(name: string, regions: readonly string[]): boolean {
  if (isCovered(name, regions)) return true;
  const parts = partsOfRegion(name);
  return parts.length > 0 && parts.every((part) => regions.includes(part));
}

/** The named regions that a list of regions leaves out. */
export function missingRegions(named: readonly string[], listed: readonly string[]): string[] {
  return named.filter((name) => !coversAll(name, listed));
}

function compareMean({ region, range }: Of<'mean'>, evidence: Evidence): Comparison {
  const mean = evidence.regions.find(({ name }) => name === region)?.score ?? null;
  const reason =
    mean === null
      ? 'The regions were not measured for this crop.'
      : `The map's mean at ${regionPhrase(region)} is ${mean.toFixed(2)}.`;
  const holds =
    mean === null ? null : agrees(range, [100 * mean], CLAIM_TOLERANCES.extent, CLAIM_TOLERANCES.aboutExtent);
  return { kind: 'region', value: region, holds, evidence: { region, mean }, reason };
}

function comparePart({ name, polarity }: Of<'part'>): Comparison {
  const holds = polarity === 'asserted' ? false : null;
  return {
    kind: 'region',
    value: name,
    holds,
    evidence: { region: name },
    reason: `The detector does not report on the ${name}.`,
  };
}

function compare(claim: RawClaim, evidence: Evidence): Comparison {
  switch (claim.kind) {
    case 'verdict':
      return compareVerdict(claim, evidence);
    case 'score':
      return compareScore(claim, evidence);
    case 'threshold':
      return compareThreshold(claim, evidence);
    case 'level':
      return compareLevel(claim, evidence);
    case 'relation':
      return compareRelation(claim, evidence);
    case 'extent':
      return compareExtent(claim, evidence);
    case 'confidence':
      return compareConfidence(claim, evidence);
    case 'region':
      return compareRegion(claim, evidence);
    case 'any':
      return compareAny(claim, evidence);
    case 'mean':
      return compareMean(claim, evidence);
    case 'part':
      return comparePart(claim);
    case 'other':
      return {
        kind: 'other',
        value: null,
        holds: null,
        evidence: {},
        reason: 'Neither the score nor the map says anything about this.',
      };
  }
}

/** Compares one claim with the evidence. */
export function judge(claim: RawClaim, evidence: Evidence): Verdict {
  const { holds, ...comparison } = compare(claim, evidence);
  if (claim.possible && claim.kind !== 'other')
    return { ...comparison, status: 'not checkable', reason: 'It says what may be, not what was measured.' };
  if (holds === null) return { ...comparison, status: 'not checkable' };
  return { ...comparison, status: holds === (claim.polarity === 'asserted') ? 'supported' : 'contradicted' };
}
