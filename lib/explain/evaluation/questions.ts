import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { readTextFile } from '../../data/readTextFile.js';
import { KfdError } from '../../errors.js';
import { Random } from '../../faithfulness/random.js';
import { packageRoot } from '../../native/config.js';
import { isCovered, PART_NAMES, regionPhrase } from '../sentences/regionNames.js';

/** Kinds of questions; the evaluation counts them apart. 'own': from a file of the user's. */
export const QUESTION_KINDS = [
  'verdict',
  'where',
  'sure',
  'extent',
  'why',
  'region',
  'part',
  'next',
  'limits',
  'meaning',
  'unknown',
  'off-topic',
  'pushback',
  'leading',
  'leading-agreeing',
  'injection',
  'thanks',
  'own',
] as const;
export type QuestionKind = (typeof QUESTION_KINDS)[number];

/** Nothing that the detector measured answers these: a refusal is right. */
export const UNANSWERABLE: readonly QuestionKind[] = ['part', 'unknown', 'off-topic'];
/** An answer that names regions here is expected to name all that stand out. */
export const LISTING: readonly QuestionKind[] = ['verdict', 'where', 'why', 'leading-agreeing'];

export interface ScriptedQuestion {
  kind: QuestionKind;
  text: string;
  /** The region that a question of kind 'region' is about. */
  region?: string;
}

/** Questions of one dialogue, in order. */
export type Script = readonly (readonly ScriptedQuestion[])[];

/** What decides which questions fit a face. */
export interface ScriptFace {
  /** Stands for the face in what is drawn. */
  name: string;
  verdict: 'fake' | 'real';
  namedRegions: readonly string[];
}

type ByVerdict = Readonly<Record<'fake' | 'real', readonly string[]>>;
type PlainKind = Exclude<
  QuestionKind,
  'pushback' | 'leading' | 'leading-agreeing' | 'injection' | 'region' | 'own'
>;
type VerdictKind = 'pushback' | 'leading' | 'leading-agreeing' | 'injection';

/** Schema `kfd.questions/1`: wordings by kind; {region} and {part} stand for a name with its article. */
export type Wordings = Readonly<Record<PlainKind | 'region', readonly string[]>> &
  Readonly<Record<VerdictKind, ByVerdict>> & { readonly parts: readonly string[] };

/**
 * Wordings that no training dialogue contains.
 *
 * @throws KfdError ERR_KFD_FILE_READ
 */
export async function readHeldOutWordings(): Promise<Wordings> {
  const file = path.join(packageRoot(), 'lib', 'explain', 'evaluation', 'heldOutQuestions.json');
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Wordings;
  } catch (cause) {
    throw new KfdError('ERR_KFD_FILE_READ', `${file} cannot be read: ${(cause as Error).message}`, {
      hint: 'It is part of the package: install the package again.',
      cause,
    });
  }
}

/** Draws without repetition from each list, in an order that depends on the seed and the face alone. */
class Draw {
  private readonly orders = new Map<string, number[]>();

  constructor(private readonly random: Random) {}

  from<Item>(name: string, items: readonly Item[]): Item {
    const order = this.orders.get(name);
    const left = order === undefined || order.length === 0 ? this.shuffled(items.length) : order;
    const item = items[left.pop() ?? 0];
    this.orders.set(name, left);
    if (item === undefined) throw new RangeError(`No wordings of kind ${name}.`);
    return item;
  }

  private shuffled(count: number): number[] {
    return [...this.random.permutation(count)];
  }
}

/** A scripted dialogue's line: a kind, and for regions whether the right answer is yes or no. */
type Line = QuestionKind | 'region-yes' | 'region-no';

/**
 * Four dialogues of six questions: every kind, questions that mislead among them and in their midst, so that what is said
 * before can do harm. Where a face has no region to affirm (or to deny), the other question is asked.
 */
const DIALOGUES: readonly (readonly Line[])[] = [
  ['verdict', 'where', 'region-yes', 'pushback', 'sure', 'next'],
  ['where', 'leading', 'why', 'off-topic', 'extent', 'region-no'],
  ['injection', 'verdict', 'unknown', 'meaning', 'region-yes', 'part'],
  ['leading-agreeing', 'limits', 'region-no', 'injection', 'unknown', 'off-topic'],
];

/** How many questions every face is asked. */
export const SCRIPT_LENGTH = DIALOGUES.flat().length;

/** The dialogues for one face; the same for the same seed and face. */
export function scriptFor(face: ScriptFace, wordings: Wordings, seed: number): Script {
  const draw = new Draw(new Random(seed, `questions ${face.name}`));
  const inside = PART_NAMES.filter((part) => isCovered(part, face.namedRegions));
  const outside = PART_NAMES.filter((part) => !isCovered(part, face.namedRegions));

  const region = (wanted: 'region-yes' | 'region-no'): ScriptedQuestion => {
    const [first, second] = wanted === 'region-yes' ? [inside, outside] : [outside, inside];
    const name = first.length > 0 ? draw.from(wanted, first) : draw.from(`${wanted}, other`, second);
    const text = draw.from('region', wordings.region).replace('{region}', regionPhrase(name));
    return { kind: 'region', text, region: name };
  };
  const question = (line: Line): ScriptedQuestion => {
    if (line === 'region-yes' || line === 'region-no' || line === 'region') {
      return region(line === 'region' ? 'region-yes' : line);
    }
    if (line === 'own') throw new RangeError('Questions of a file are not drawn.');
    const list = wordings[line];
    const text = draw.from(line, 'fake' in list ? list[face.verdict] : list);
    return { kind: line, text: text.replace('{part}', () => draw.from('parts', wordings.parts)) };
  };
  return DIALOGUES.map((lines) => lines.map(question));
}

/**
 * Own questions: one a line, a blank line begins a new dialogue. Every face is asked all of them.
 *
 * @throws KfdError ERR_KFD_FILE_NOT_FOUND, ERR_KFD_FILE_READ, ERR_KFD_NO_INPUT (no question)
 */
export async function readOwnQuestions(file: string): Promise<Script> {
  const text = await readTextFile(file, 'questions');
  const dialogues = text
    .split(/\r?\n\s*\r?\n/)
    .map((part) => part.split(/\r?\n/).flatMap((line) => (line.trim() === '' ? [] : [line.trim()])))
    .filter((lines) => lines.length > 0);
  if (dialogues.length === 0) {
    throw new KfdError('ERR_KFD_NO_INPUT', `No question in ${file}.`, {
      hint: 'One question a line; a blank line begins a new dialogue.',
    });
  }
  return dialogues.map((lines) => lines.map((line) => ({ kind: 'own', text: line })));
}
