import { percentOf, type Evidence } from '../evidence.js';
import { readQuestion, type QuestionReading } from '../questions/readQuestion.js';
import { capitalised, isCovered, regionList, regionPhrase } from './regionNames.js';

const OFF_TOPIC =
  'That is outside what I can answer here. I only explain the result of the forgery detector for this face.';
const UNKNOWN =
  'I cannot tell that from the evidence. I only have the forgery score and the map of the face.';
const ASK_ME = 'Ask me about the score, the marked regions or what to check next.';
const UNMEASURED = 'I cannot say how much: the share of the face was not measured here.';

const isWhole = (names: readonly string[]): boolean => names.length === 1 && names[0] === 'full face';

/** Where the traces are: a whole face has no place where they are strongest. */
function traces(names: readonly string[]): string {
  const how = isWhole(names) ? 'traces are spread over' : 'strongest traces are at';
  return `${how} ${regionList(names)}`;
}

/** "This face looks fake: ...": the answer to "Is it fake?". */
export function verdictSentence(evidence: Evidence): string {
  const { score, threshold } = percentOf(evidence);
  const caution =
    evidence.confidence === 'not very'
      ? ' The score is close to the threshold, so treat this with caution.'
      : '';
  if (evidence.verdict === 'real')
    return `This face looks real: the forgery score is ${score}%, and from ${threshold}% on it would count as fake.${caution}`;
  if (evidence.namedRegions.length === 0)
    return `This face looks fake: the forgery score is ${score}%. The map does not single out a region.${caution}`;
  return `This face looks fake: the forgery score is ${score}%, and the ${traces(evidence.namedRegions)}.${caution}`;
}

export function whereSentence({ verdict, namedRegions }: Evidence): string {
  if (verdict === 'real') return 'Nowhere in particular: the face looks real and no region stands out.';
  if (namedRegions.length === 0) return 'I cannot say where: the map does not single out a region.';
  return `The ${traces(namedRegions)}.`;
}

export function confidenceSentence({ confidence, verdict }: Evidence): string {
  return `I am ${confidence} sure that this face is ${verdict}.`;
}

export function scoreSentence(evidence: Evidence): string {
  const { score, threshold } = percentOf(evidence);
  return `The forgery score is ${score}%, and the threshold is ${threshold}%.`;
}

export function relationSentence(evidence: Evidence): string {
  const { score, threshold } = percentOf(evidence);
  const relation = evidence.verdict === 'fake' ? 'reaches' : 'stays below';
  return `The forgery score of ${score}% ${relation} the threshold of ${threshold}%.`;
}

export function extentSentence(evidence: Evidence): string {
  const { extent } = percentOf(evidence);
  if (evidence.verdict === 'real') return 'The face looks real, so no part of it counts as manipulated.';
  return extent === null ? UNMEASURED : `About ${extent}% of the face is marked as manipulated.`;
}

function whySentence(evidence: Evidence): string {
  const { score, threshold, extent } = percentOf(evidence);
  const { verdict, namedRegions } = evidence;
  if (verdict === 'real')
    return `The forgery score of ${score}% stays below the threshold of ${threshold}%, and no region stands out on the map.`;
  const reached = `The forgery score of ${score}% reaches the threshold of ${threshold}%`;
  if (namedRegions.length > 0) {
    const marks = extent === null ? '' : ` It marks about ${extent}% of the face.`;
    const bright = isWhole(namedRegions) ? 'lights up over' : 'is brightest at';
    return `${reached}, and the map ${bright} ${regionList(namedRegions)}.${marks}`;
  }
  const marks = extent === null ? 'The map' : `The map marks about ${extent}% of the face but`;
  return `${reached}. ${marks} does not single out a region.`;
}

/** Whether one region is marked: "The nose is not marked as manipulated." */
export function regionSentence(name: string, evidence: Evidence): string {
  return regionSentences([name], evidence);
}

/** The same of several regions; those inside a named composite share its sentence. */
function regionSentences(names: readonly string[], { namedRegions, regions }: Evidence): string {
  if (regions.length === 0)
    return `I cannot say anything about ${regionList(names)}: the regions were not measured here.`;
  const composite = namedRegions.find((other) =>
    names.some((name) => name !== other && isCovered(name, [other])),
  );
  const inside = names.filter(
    (name) => composite !== undefined && name !== composite && isCovered(name, [composite]),
  );
  const sentences = names
    .filter((name) => !inside.includes(name) && !(name === composite && inside.length > 0))
    .map((name) => {
      const marked = namedRegions.includes(name) ? 'is marked' : 'is not marked';
      return `${capitalised(regionPhrase(name))} ${marked} as manipulated.`;
    });
  if (composite !== undefined && inside.length > 0)
    sentences.unshift(
      `${capitalised(regionPhrase(composite))} is marked as manipulated, and ${regionList(inside)} with it.`,
    );
  return sentences.join(' ');
}

export function partSentence(part: string): string {
  return `I cannot say anything about the ${part}: the detector does not report on it.`;
}

function nextSentence({ verdict, namedRegions }: Evidence): string {
  if (verdict === 'real')
    return 'A low score is no proof. Check where the picture comes from, look at its metadata and search for other copies.';
  if (namedRegions.length === 0)
    return 'Look at the border of the face and at the lighting, and search for the original picture.';
  const around = isWhole(namedRegions) ? 'the neck and the background' : 'the skin around it';
  return `Look closely at ${regionList(namedRegions)}: compare sharpness, colour and lighting with ${around}, and search for the original picture.`;
}

/** What stays true whatever the user wants to hear. */
function measuredSentence(evidence: Evidence): string {
  const { score, threshold } = percentOf(evidence);
  return `the forgery score is ${score}%, and from ${threshold}% on a face counts as fake, so this face counts as ${evidence.verdict}.`;
}

function answerReading(reading: QuestionReading, evidence: Evidence): string {
  const { score, threshold } = percentOf(evidence);
  switch (reading.intent) {
    case 'verdict':
      return verdictSentence(evidence);
    case 'where':
      return whereSentence(evidence);
    case 'sure':
      return `${confidenceSentence(evidence)} ${scoreSentence(evidence)}`;
    case 'extent':
      return extentSentence(evidence);
    case 'why':
      return whySentence(evidence);
    case 'region':
      return regionSentences(reading.regions, evidence);
    case 'part':
      return partSentence(reading.part ?? '');
    case 'next':
      return nextSentence(evidence);
    case 'limits':
      return `It can be wrong. The score is the estimate of a research model, and ${score}% is not a certainty, so check the picture by other means too.`;
    case 'meaning':
      return `The forgery score is the detector's estimate, from 0% to 100%, that the face is forged. From ${threshold}% on it counts as fake, and here it is ${score}%.`;
    case 'unknown':
      return UNKNOWN;
    case 'off-topic':
      return OFF_TOPIC;
    case 'pushback':
      return `I understand the doubt, but the measurement stays the same: ${measuredSentence(evidence)}`;
    case 'leading':
      return reading.premise === evidence.verdict
        ? whySentence(evidence)
        : `I cannot support that. ${capitalised(measuredSentence(evidence))}`;
    case 'injection':
      return `I only report what was measured: the forgery score is ${score}%, so this face counts as ${evidence.verdict}.`;
    case 'thanks':
      return `You are welcome. ${ASK_ME}`;
    case 'hello':
      return `Hello. ${ASK_ME}`;
    case 'other':
      return `${verdictSentence(evidence)} I only explain the result of the forgery detector for this face.`;
  }
}

/** The answer that the numbers give by themselves, without a language model. Plain English, one or two sentences. */
export function answerFromEvidence(question: string, evidence: Evidence): string {
  return answerReading(readQuestion(question), evidence);
}
