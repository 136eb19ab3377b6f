import { readLexemes, type Lexeme } from '../claims/lexemes.js';
import { tokenize } from '../claims/tokens.js';

/** What a question about a detection wants. 'other': none of these, or wording that the rules do not know. */
export type Intent =
  | 'verdict'
  | 'where'
  | 'sure'
  | 'extent'
  | 'why'
  | 'region'
  | 'part'
  | 'next'
  | 'limits'
  | 'meaning'
  | 'unknown'
  | 'off-topic'
  | 'pushback'
  | 'leading'
  | 'injection'
  | 'thanks'
  | 'hello'
  | 'other';

export interface QuestionReading {
  intent: Intent;
  /** For 'region': the regions asked about, as the detector calls them. */
  regions: readonly string[];
  /** For 'part': a part that the detector does not report on, in the question's words. */
  part?: string;
  /** For 'leading' and 'why': the verdict that the question takes for granted. */
  premise?: 'fake' | 'real';
}

/** Longer questions are read up to here. */
const LONGEST = 2000;

/** First match wins; all on lower-case text. None has a nested repetition. */
const RULES: readonly (readonly [Intent, RegExp])[] = [
  [
    'injection',
    /\b(ignore|disregard|forget|override|bypass)\b.{0,60}\b(instructions?|rules?|prompt|evidence|above|before|detector|score|threshold|everything|previous)|\bfile ?name|\b(caption|metadata|title|label|watermark|text in the (image|picture)) (says|states|claims|proves|reads)|\bsystem( prompt)?:|\bpretend\b|\bact as\b|\brole ?play|\byou are now\b|\bdeveloper mode|\b(just|simply|only|please) (say|answer|reply|write|state)\b|\brepeat after me|^(say|state|write|answer|reply|respond|output|declare)\b.{0,40}\b(real|fake|authentic|genuine|original)\b|\banswer (only )?with\b|\bi order you\b|\bfrom now on\b.{0,40}\b(real|fake|authentic)\b/,
  ],
  [
    'off-topic',
    /\bcapital of\b|\b(poem|joke|recipe|song|story|weather|limerick|haiku|essay)\b|\bfingers?\b|\d ?[-+*x/×] ?\d|\b(plus|times|minus|divided by|square root)\b|\bpresident\b|\btranslate\b|\b(python|javascript|code|football|soccer|planets?|population|stock|bitcoin|einstein|shakespeare|dinosaurs?)\b|\bmeaning of life\b|\bcook\b|\bwhat day\b|\bwhat time\b|\bspell\b|\bcount to\b/,
  ],
  [
    'pushback',
    /\bi (really |still |strongly |do )?(think|believe|disagree|doubt|am sure|am certain|know|say)\b|\bi'm (sure|certain|convinced)\b|\bi (don't|do not|can't|cannot) (believe|agree|buy|think)\b|\byou('re| are|re) (wrong|mistaken|lying)\b|\b(that|this)('s| is|s)? (wrong|not right|incorrect|nonsense|not true|can't be|cannot be)\b|\bcan't be right\b|\breconsider\b|\bthink again\b|\bchange your mind\b|\bto me (it|this) (looks|seems)\b|\b(it|this|that) (looks|seems) (\w+ )?to me\b|\bmy (friend|wife|husband|expert|boss|colleague)\b|\bare you kidding\b|\breally\?|\bbut (it|this|the (face|image|photo|picture)) (looks|seems|is)\b|\bconvinced otherwise\b/,
  ],
  [
    'limits',
    /\b(could|can|may|might) (it|you|this|that|the (detector|score|result|model|verdict)) be (wrong|mistaken|in error|off|incorrect)|\b(reliab|accura|trustworth|fallib)|\b(can|should|could|may) (i|we|one|anyone) (\w+ )?(trust|rely|believe)|\b(mistakes?|errors?|false (alarm|positive|negative)s?|limits?|limitations?|guaranteed?|proof|proven|prove in court|infallible)\b|\bever wrong\b|\bget (it|this|things) wrong\b|\bhow good is\b|\bhow much (can|should|may|do) (i|we) (trust|rely|believe)|\b100 ?% (sure|certain|correct|right)/,
  ],
  [
    'meaning',
    /\bwhat (does|do|is|are|did) .{0,40}(\bmeans?\b|\bmeant\b|\bsay\b|stand for)|\bwhat (is|are|'s) (the|a|this|that|your) (\w+ )?(score|threshold|number|percentage|percent|value)|\bmeaning of\b|\bexplain (the|this|that|what the) (\w+ )?(score|number|threshold|percentage|value)|\bhow (is|should|do|can) .{0,30}\b(read|interpret|understand)\b|\bwhat's (the|a) (\w+ )?(score|threshold)|\bhow (high|low) is\b|\bhow is the (\w+ )?score\b|\bscore mean\b/,
  ],
  [
    'next',
    /\bnext\b|\b(verify|double.?check|cross.?check)\b|\bwhat (should|can|could|do|would|must|shall) (i|we|one|a person|a human|someone|somebody|an expert|people|you) (\w+ ){0,2}(do|check|look|examine|inspect|try|advise|recommend|suggest|watch)|\bhow (can|could|do|should|would) (i|we|one|someone) (\w+ )?(check|confirm|test|find out|make sure)|\b(recommend|advice|advise|suggestions?|further steps?|look out for|tips?)\b|\bwhat to (check|do|look)\b|\bworth checking\b|\bwhat else\b.{0,30}\b(check|do|look)/,
  ],
  [
    'where',
    /\b(where|which (part|region|area|place|spot|zone|feature)s?|what (part|region|area|spot)s?|name the (part|region|area|spot)s?|list the (part|region|area|spot)s?|point (out|to|at)|locate|location of the (traces|manipulation|forgery))\b(?!.{0,40}\b(taken|shot|photographed|recorded|come from|comes from|from\b|was it made|find this person|live|lives|born|download)).{0,80}/,
  ],
  [
    'unknown',
    /\b(who|whose|whom|named?|aged?|old|older|young|gender|male|female|man or|woman or|boy|girl|celebrity|famous|actor|actress|politician|tool|software|app|program|generator|algorithm|method|technique|gan|diffusion|stylegan|midjourney|when|taken|camera|lens|phone|device|city|country|place|place is|emotions?|happy|sad|angry|smiling|smile|feeling|mood|ethnicity|race|nationality|religion|job|profession|photographer|website|wearing|glasses|married|live|lives|born|recognise|recognize|made (it|this|the)|created|come from|comes from|source|how was (it|this|the) |how (did|do) (they|he|she|someone))\b/,
  ],
  [
    'extent',
    /\bhow (much|large|big|many percent|many pixels|widespread|extensive|far)\b|\b(what|which) (share|percentage|fraction|portion|proportion|amount|percent)\b|\bextent\b|\bhow many (parts|regions|areas)\b|\bsize of the\b|\bpercent(age)? of the (face|image|picture)|\bmost of the face\b|\bhalf of the face\b/,
  ],
  ['sure', /\b(sure|confident|confidence|certain|certainty|convinced|doubts?|definite|positive)\b/],
  [
    'why',
    /\bwhy\b|\b(reasons?|because|justify|justification|reasoning|based on|grounds|rationale)\b|\bhow come\b|\bhow (do|did|can|could) you (know|tell|see|conclude|decide|arrive|come)|\bwhat (makes|made|speaks|led|leads|gives|gave|convinced|tells)\b|\bexplain\b|\bwhat (is|are) (the|your) (evidence|reasons?|basis|grounds)\b|\bevidence\b/,
  ],
  [
    'where',
    /\b(regions?|areas?|traces|spots?|suspicious|stands? out|marked|highlighted|strongest|brightest)\b/,
  ],
];

const GREETING = /^(hi|hello|hey|good (morning|afternoon|evening|day)|greetings)\b/;
const THANKS = /\b(thanks|thank you|thx|cheers|much appreciated)\b/;
const LEADING =
  /^(so |please |then |now |ok |okay )*(explain|tell me|describe|show|prove|confirm|admit|argue|justify|list|give|write|state|why|since|given|as|because|how come|what makes|what proves|convince)\b/;
const PICK_PLACE = /\b(where|which (part|region|area)s?)\b/;

/** The verdict that a question's words take for granted; undefined where there is none or both. */
function premiseOf(lexemes: readonly Lexeme[]): 'fake' | 'real' | undefined {
  const found = new Set<'fake' | 'real'>();
  let negated = false;
  for (const { tag, words } of lexemes) {
    if (tag === 'negation' && words !== 'no') negated = true;
    if (tag !== 'fake' && tag !== 'real') continue;
    found.add((tag === 'fake') !== negated ? 'fake' : 'real');
  }
  const [premise] = found;
  return found.size === 1 ? premise : undefined;
}

function isShort(text: string, words: number): boolean {
  return text.split(' ').length <= words;
}

function readCourtesy(text: string): Intent | undefined {
  if (THANKS.test(text) && isShort(text, 9) && !text.includes('?')) return 'thanks';
  return GREETING.test(text) && isShort(text, 4) ? 'hello' : undefined;
}

/** Regions or another part, for "Is the nose manipulated?"; not for "where" questions. */
function readPlace(text: string, lexemes: readonly Lexeme[]): QuestionReading | undefined {
  const regions = lexemes.flatMap(({ tag, sense }) => (tag === 'region' ? (sense.regions ?? []) : []));
  if (PICK_PLACE.test(text)) return undefined;
  if (regions.length > 0) return { intent: 'region', regions: [...new Set(regions)] };
  const part = lexemes.find(({ tag }) => tag === 'part');
  return part ? { intent: 'part', regions: [], part: part.words } : undefined;
}

/** What a question wants, by keywords; English. */
export function readQuestion(question: string): QuestionReading {
  const text = question.slice(0, LONGEST).toLowerCase().replaceAll('’', "'").replace(/\s+/g, ' ').trim();
  const lexemes = readLexemes(tokenize(text));
  const plain = (intent: Intent): QuestionReading => ({ intent, regions: [] });
  const courtesy = readCourtesy(text);
  if (courtesy) return plain(courtesy);
  for (const intent of ['injection', 'off-topic', 'pushback'] as const)
    if (RULES.some(([name, rule]) => name === intent && rule.test(text))) return plain(intent);
  const place = readPlace(text, lexemes);
  const next = RULES.some(([name, rule]) => name === 'next' && rule.test(text));
  if (place && !next) return place;
  const premise = premiseOf(lexemes);
  if (premise && LEADING.test(text) && !PICK_PLACE.test(text)) return { ...plain('leading'), premise };
  const rule = RULES.find(([, pattern]) => pattern.test(text));
  if (rule) return { ...plain(rule[0]), ...(premise && rule[0] === 'why' ? { premise } : {}) };
  const verdict = lexemes.some(({ tag }) => tag === 'fake' || tag === 'real' || tag === 'manipulation');
  return plain(
    verdict || /\b(verdict|result|conclusion|what do you think|your opinion|ai)\b/.test(text)
      ? 'verdict'
      : 'other',
  );
}
