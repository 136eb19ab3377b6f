import { PART_NAMES } from '../sentences/regionNames.js';

/** What a word or phrase does in a sentence about a detection. */
export type Tag =
  | 'face' // the face or picture as a whole
  | 'region' // one or more of the detector's regions
  | 'part' // another part, which the detector does not report on
  | 'any' // "region", "nothing", "nowhere"
  | 'rest' // "the rest of the face"
  | 'fake'
  | 'real'
  | 'manipulation' // the noun
  | 'trace' // "signs", "traces"
  | 'mark' // marked, strongest, stands out: what the detector names
  | 'clean' // fine, clean: of a region
  | 'weak' // makes a statement weaker than "marked"
  | 'negation'
  | 'cannot' // "cannot say", "do not know": nothing is claimed after it
  | 'maybe' // may, might, could
  | 'hypothetical' // if, whether, would
  | 'reported' // somebody else's opinion
  | 'estimate' // "the probability that": what follows is not claimed
  | 'confidence'
  | 'certainly'
  | 'score'
  | 'threshold'
  | 'level' // high or low, of the score
  | 'above'
  | 'below'
  | 'close'
  | 'far'
  | 'about' // before a number
  | 'between'
  | 'fraction'
  | 'extent' // covers, extent
  | 'number'
  | 'scale' // "from 0% to 100%"
  | 'only'
  | 'except'
  | 'also' // "not only": no negation
  | 'pronoun'
  | 'article'
  | 'indefinite' // a, an, any, every
  | 'filler' // prepositions and the like, without meaning here
  | 'and'
  | 'break' // but, so, because ...: between clauses
  | 'stop' // ; : ( ) and dashes
  | 'comma'
  | 'instruction' // look, compare, check
  | 'foreign' // findings that the numbers cannot confirm: tools, persons, kinds of artefacts
  | 'harmless' // courtesies and statements about what the speaker can do
  | 'yes'
  | 'word';

/** A phrase's extra meaning. */
export interface Sense {
  /** Of regions. `each`: all of them are meant ("the eyes"); else one or another ("the jaw"). */
  regions?: readonly string[];
  each?: boolean;
  /** Of confidence words. */
  level?: 'very' | 'fairly' | 'not very' | 'sure';
  /** Of fraction words: percent from, to. */
  range?: readonly [number, number];
  /** Of 'level': a high score. */
  high?: boolean;
  /** Of 'any': it denies already ("nothing"). */
  none?: boolean;
}

export interface Phrase {
  words: readonly string[];
  tag: Tag;
  sense: Sense;
}

type Entry = readonly [Tag, string, Sense?];

const EYES = ['left eye', 'right eye'];
const CHEEKS = ['left cheek', 'right cheek'];
const JAWS = ['left jaw', 'right jaw'];
const side = (name: string): string[] => PART_NAMES.filter((part) => part.startsWith(name));

const REGIONS: readonly Entry[] = [
  [
    'region',
    'nose|nose tip|tip of the nose|nostrils|nasal region|nasal area|nose region|nose area|nasal tip',
    { regions: ['nose'] },
  ],
  [
    'region',
    'bridge of the nose|nose bridge|nasal bridge|nose ridge|nasal ridge|ridge of the nose|bridge of nose|nasion',
    { regions: ['nose_ridge'] },
  ],
  [
    'region',
    'center of the face|centre of the face|middle of the face|central part of the face|central face|central region of the face|central area of the face|central facial region|central facial area|center face|centre face|face center|face centre|facial center|facial centre|midface|mid face|middle face|middle part of the face|core of the face|center of face|centre of face|heart of the face',
    { regions: ['center face'] },
  ],
  [
    'region',
    'whole face|entire face|full face|complete face|all of the face|total face|whole of the face|face as a whole|all over the face|across the face|throughout the face|everywhere|entire facial region|whole facial region|entire facial area|whole facial area|all over|every part of the face|every region of the face|every region|every part|every area|all regions|all parts|all areas|all the regions|all the parts|all parts of the face|all regions of the face|all areas of the face|everything',
    { regions: ['full face'] },
  ],
  ['region', 'eyes|both eyes|eye sockets', { regions: EYES, each: true }],
  [
    'region',
    'eye|eye region|eye area|ocular region|periocular region|periocular area|region of the eyes|area of the eyes|one eye',
    { regions: EYES },
  ],
  ['region', 'cheeks|both cheeks|cheekbones', { regions: CHEEKS, each: true }],
  ['region', 'cheek|cheekbone|cheek area|cheek region|one cheek', { regions: CHEEKS }],
  ['region', 'jaws|both jaws|both sides of the jaw', { regions: JAWS, each: true }],
  ['region', 'jaw|jawline|jaw line|jaw area|jaw region|lower jaw|one side of the jaw', { regions: JAWS }],
  ...['left', 'right'].flatMap((name): Entry[] => [
    [
      'region',
      `${name} eye|${name} eye region|${name} eye area|${name} eye socket`,
      { regions: [`${name} eye`] },
    ],
    [
      'region',
      `${name} cheek|${name} cheekbone|${name} cheek area|${name} cheek region`,
      { regions: [`${name} cheek`] },
    ],
    [
      'region',
      `${name} jaw|${name} jawline|${name} jaw line|${name} side of the jaw|${name} side of the jawline|${name} part of the jaw|${name} half of the jaw`,
      { regions: [`${name} jaw`] },
    ],
    [
      'region',
      `${name} side of the face|${name} half of the face|${name} part of the face|${name} side`,
      { regions: side(name) },
    ],
    ['region', `${name} side of the nose`, { regions: ['nose'] }],
  ]),
  [
    'region',
    'upper face|upper half of the face|upper part of the face|top of the face',
    { regions: [...EYES, 'nose_ridge'] },
  ],
  [
    'region',
    'lower face|lower half of the face|lower part of the face|bottom of the face',
    { regions: JAWS },
  ],
  [
    'part',
    'mouth|mouth area|mouth region|lip|lips|upper lip|lower lip|chin|chin area|forehead|brow|brows|eyebrow|eyebrows|left eyebrow|right eyebrow|eyelid|eyelids|eyelashes|pupil|pupils|iris|irises|hair|hairline|ear|ears|left ear|right ear|tooth|teeth|tongue|neck|background|temple|temples|beard|moustache|mustache|glasses|throat|shoulder|shoulders|hand|hands|head|body|clothes|clothing',
  ],
];

const VERDICTS: readonly Entry[] = [
  [
    'face',
    'face|image|photo|picture|photograph|portrait|pic|snapshot|image of the face|person|subject|file|video|frame|img|faces|images|photos|pictures|selfie',
  ],
  [
    'fake',
    'fake|faked|fakes|forged|forgery|forgeries|deepfake|deep fake|deepfakes|deepfaked|manipulated|tampered|tampered with|altered|edited|digitally altered|synthetic|synthesized|synthesised|doctored|ai generated|artificially generated|computer generated|machine generated|generated|fabricated|counterfeit|inauthentic|photoshopped|retouched|falsified|spoofed|bogus|phony|phoney|artificial|unreal|face swap|face swapped|swapped|modified|morphed|changed|replaced|exchanged|reworked|touched up|untrustworthy|a hoax|a sham',
  ],
  [
    'real',
    'real|authentic|genuine|pristine|original|unaltered|unmanipulated|untampered|unedited|unmodified|unforged|legitimate|legit|bona fide|true photograph|true photo|true image|trustworthy|truthful|natural|untouched|trusted|nothing wrong|nothing suspicious|no problem|no problems|authenticity|genuineness',
  ],
  [
    'manipulation',
    'manipulation|manipulations|tampering|editing|alteration|alterations|edits|edit|forging|faking|falsification|forgery traces|traces of forgery|deepfake manipulation|digital manipulation|facial manipulation',
  ],
  [
    'trace',
    'trace|traces|sign|signs|evidence of|evidence for|indication|indications|hints|hint|marks of|suspicion|clue|clues|anomaly|anomalies|artefact|artefacts|artifact|artifacts|problem|problems|irregularity|irregularities|inconsistency|inconsistencies|response|responses|activation|activations|giveaway',
  ],
  [
    'mark',
    'marked|mark|marks|highlighted|highlights|highlight|strongest|brightest|most suspicious|most pronounced|most manipulated|most visible|clearest|stands out|stand out|standing out|stood out|stick out|sticks out|single out|singles out|singled out|named|names|name|flagged|flags|pinpoints|points to|points at|point to|localised|localized|located|concentrated|concentrates|centred|centered|gives it away|give it away|peaks|peak|culprit|most likely manipulated|because of|due to|greatest|highest response|maximum',
  ],
  [
    'weak',
    'some|slight|slightly|partly|partially|somewhat|weak|weaker|faint|faintly|minor|suspicious|affected|bright|brighter|elevated|lit|lights up|light up|raised|active|a little|a bit|mildly',
  ],
  [
    'clean',
    'least suspicious|least affected|least marked|weakest|darkest|clean|fine|ok|okay|intact|unmarked|unremarkable|unsuspicious|unaffected|inconspicuous|normal|dark|free of|free from|clear of|clear|undisturbed|in order|all right|alright|harmless|unchanged|flawless|good',
  ],
];

const NUMBERS: readonly Entry[] = [
  [
    'score',
    'score|scores|scored|forgery score|fake score|deepfake score|forgery prediction|deepfake prediction|prediction score|detection score|forgery probability|fake probability|deepfake probability|manipulation score|manipulation probability|forgery estimate|forgery rating|rating',
  ],
  ['estimate', 'probability|chance|likelihood|estimate|odds|possibility|how likely'],
  [
    'threshold',
    'threshold|cut off|cutoff|decision boundary|decision threshold|decision limit|detection threshold|forgery threshold|limit|cut off value',
  ],
  [
    'above',
    'above|over|exceeds|exceed|exceeding|exceeded|reaches|reach|reached|reaching|met|higher than|greater than|larger than|more than|passes|passed|surpasses|surpassing|crosses|crossed|beyond|at least|at or above|not less than|no less than|beats|meets|tops|in excess of|upwards of|well above|far above|just above|clearly above|a minimum of',
  ],
  [
    'below',
    'below|under|beneath|less than|lower than|smaller than|fewer than|short of|at most|up to|not more than|no more than|misses|underneath|well below|far below|just below|clearly below|just under|well under|a maximum of|not as high as',
  ],
  ['close', 'close to|near|near to|just at|borderline|almost at|not far from|nearly at'],
  ['far', 'far from|far away from|a long way from|nowhere near|not close to|not near'],
  ['level', 'high|very high|higher|large|elevated score|considerable', { high: true }],
  ['level', 'low|very low|small|tiny|lower', { high: false }],
  [
    'about',
    'about|around|roughly|approximately|approx|nearly|almost|some|circa|ca|close to|near|an estimated|just about|around about|~|≈',
  ],
  ['between', 'between|from'],
  [
    'scale',
    'from 0% to 100%|from 0 % to 100 %|between 0% and 100%|from 0 to 100|between 0 and 100|from 0 to 1|between 0 and 1|from 0% (real) to 100%|0 to 100|out of 100%',
  ],
  ['fraction', 'half|one half|a half', { range: [42, 58] }],
  ['fraction', 'a third|one third', { range: [26, 40] }],
  ['fraction', 'two thirds', { range: [59, 74] }],
  ['fraction', 'a quarter|one quarter|a fourth|one fourth', { range: [18, 32] }],
  ['fraction', 'three quarters|three fourths', { range: [68, 82] }],
  ['fraction', 'a fifth|one fifth', { range: [14, 26] }],
  ['fraction', 'a tenth|one tenth', { range: [5, 15] }],
  [
    'fraction',
    'most|the majority|the greater part|the larger part|more than half|over half',
    { range: [50, 100] },
  ],
  ['fraction', 'less than half|under half|a minority', { range: [0, 50] }],
  [
    'fraction',
    'nearly all|almost all|virtually all|practically all|nearly the whole|almost the whole|almost the entire|nearly the entire',
    { range: [85, 100] },
  ],
  [
    'fraction',
    'a large part|large parts|a large portion|a large share|a big part|a large area|much|large areas',
    { range: [35, 100] },
  ],
  [
    'fraction',
    'a small part|a small portion|a small share|a small area|a small fraction|a little part|a tiny part|small parts|small areas|a minor part',
    { range: [0, 30] },
  ],
  ['fraction', 'hardly any|almost none|almost nothing|barely any', { range: [0, 10] }],
  [
    'extent',
    'extent|covers|cover|covering|covered|affects|spans|occupies|marked area|manipulated area|marked share|share|portion|surface|coverage',
  ],
  [
    'confidence',
    'very sure|very certain|very confident|absolutely sure|absolutely certain|completely sure|completely certain|totally sure|extremely sure|extremely confident|highly confident|highly certain|entirely sure|entirely certain|fully confident|fully convinced|quite certain|absolutely confident|completely confident|convinced|high confidence|great confidence|strong confidence|high certainty|great certainty|with certainty|with great certainty|full confidence|no doubt|without doubt|without a doubt|without any doubt|beyond doubt|beyond any doubt|beyond a doubt|there is no doubt',
    { level: 'very' },
  ],
  [
    'confidence',
    'fairly sure|fairly certain|fairly confident|reasonably sure|reasonably certain|reasonably confident|rather sure|rather certain|rather confident|quite sure|quite confident|pretty sure|pretty certain|pretty confident|moderately sure|moderately confident|moderately certain|somewhat sure|somewhat confident|moderate confidence|medium confidence|fair confidence|reasonable confidence',
    { level: 'fairly' },
  ],
  [
    'confidence',
    "not very sure|not very certain|not very confident|not sure|not certain|not confident|not too sure|not so sure|not entirely sure|not entirely certain|not completely sure|not completely certain|not fully sure|not quite sure|not absolutely sure|not absolutely certain|not at all sure|not really sure|not particularly sure|not particularly confident|not especially sure|unsure|uncertain|hardly sure|low confidence|little confidence|not much confidence|doubtful|cannot be sure|cannot be certain|can not be sure|can't be sure|can't be certain|cannot be entirely sure|isn't certain|isn't sure|less sure|unconfident|not convinced",
    { level: 'not very' },
  ],
  ['confidence', 'sure|certain|confident', { level: 'sure' }],
  [
    'certainly',
    'certainly|definitely|undoubtedly|unquestionably|clearly and certainly|indisputably|without question|for sure',
  ],
];

const GRAMMAR: readonly Entry[] = [
  ['also', 'not only|not just|not merely'],
  [
    'negation',
    "not|no|never|fails to|fail to|failed to|fails|doubt|doubts|neither|nor|without|cannot|can't|nothing of|none of|hardly|rather than|instead of|lacks|lack|lacking|absence of|false that|wrong that|incorrect that|untrue that|not true that|false to say|wrong to say|deny|denies|anything but|by no means|non|rules out|excludes the possibility|disproves|refutes|contradicts|rejects",
  ],
  [
    'any',
    'region|regions|area|areas|part|parts|spot|spots|place|places|zone|zones|parts of the face|part of the face|part of it|part of the image|region of the face|regions of the face|area of the face|areas of the face|facial region|facial regions|facial area|facial areas|anything|anywhere|somewhere',
  ],
  [
    'any',
    'nothing|nowhere|nowhere in particular|none|none of the regions|none of the parts|none of the areas|none of them|nothing in particular|no single region',
    { none: true },
  ],
  [
    'rest',
    'rest|rest of the face|rest of it|other parts|other regions|other areas|remaining regions|remaining parts|remainder|remainder of the face|elsewhere|other parts of the face|other regions of the face|anything else|nowhere else|nothing else|everything else|no other region|no other part|no other area|other region|other part|other area|remaining face',
  ],
  [
    'cannot',
    "cannot rule out|can't rule out|not necessarily|cannot say|can't say|can not say|cannot tell|can't tell|can not tell|cannot know|can't know|do not know|don't know|unable to|cannot confirm|can't confirm|cannot support|can't support|cannot determine|can't determine|cannot judge|not able to|impossible to|cannot explain|can't explain|cannot see|cannot help|does not report|doesn't report|does not mean|doesn't mean|does not prove|doesn't prove|do not mean|is no proof|is not proof|no proof|does not say|doesn't say|cannot decide|cannot agree|can't agree|cannot answer|can't answer|no information|no statement|cannot claim|will not say|won't say|refuse to|nothing to say|have no opinion|outside what|cannot make",
  ],
  ['maybe', 'may|might|could|maybe|perhaps|possibly|potentially|conceivably'],
  [
    'hypothetical',
    'if|when|whenever|whether|would|unless|suppose|supposing|assuming|either|in case|should it|regardless of|no matter',
  ],
  [
    'reported',
    'you think|you believe|you say|you said|you claim|you feel|you suspect|you suggest|you assume|you insist|you want|you ask|you asked|you asked for|you are saying|you are sure|you are certain|you seem sure|you doubt|you expect|you find|you hope|you consider|you call|your claim|your opinion|your belief|your premise|your assumption|your suspicion|your question|file name says|file name suggests|file name claims|filename says|filename suggests|filename claims|file name|filename|name of the file|caption|captions|title|metadata|users|user|people say|people think|someone|somebody|some people|others|label says|label|supposedly|allegedly|reportedly|purportedly|so called|the claim that|claimed|it is said|is said to|rumour|rumor|instructions|told to say|asked to say|to say it|pretend',
  ],
  ['only', 'only|solely|exclusively|just the|merely|nothing but|confined to|limited to|restricted to'],
  [
    'except',
    'except|except for|besides|apart from|aside from|other than|excluding|with the exception of|save for|but for|but not',
  ],
  ['pronoun', 'it|this|that|they|these|those|he|she'],
  ['article', 'the|its|his|her|their|my|our'],
  ['indefinite', 'a|an|any|every|each'],
  [
    'filler',
    'i would say|i d say|i would call|at|in|on|of|around|near the|within|to|by|with|from|for|as|also|even|too|both|itself|there|here|very|quite|well|so far|especially|particularly|mainly|mostly|chiefly|primarily|most of all|above all|along|inside|at all|single|specific|particular|really|actually|then|now|still|yet|percent|clearly|plainly|probably|likely|most likely|indeed|overall|thus',
  ],
  ['and', 'and|or|&|as well as|along with|together with|followed by|plus|and also|but also'],
  [
    'break',
    'but|however|while|whereas|although|though|because|since|so|which|therefore|hence|and so|even though|so that|still|nevertheless|yet|otherwise|unlike|as',
  ],
  ['stop', ';|:|—|(|)|[|]|–|→|/'],
  ['comma', ','],
  [
    'instruction',
    'look|look at|compare|check|search|examine|zoom|inspect|verify|consider|focus|focus on|pay attention|ask|ask me|treat|try|find|look for|look closely|search for|take|use|open|remember|you should|you can check|you could check|you can look|you could look|you should look|you should check|a person should|make sure|be sure|please|let us|let me|watch|view|study|start with|be careful|keep in mind',
  ],
  [
    'foreign',
    'nvidia|dgx|dg|stylegan|gan|gans|diffusion model|stable diffusion|midjourney|dall|faceswap|face2face|facefusion|deepfacelab|photoshop|gimp|years old|year old|age|aged|gender|male|female|celebrity|actor|actress|politician|president|camera|lens|iphone|canon|nikon|software|algorithm|neural network|tool|app|website|court|defendant|fraud|smile|smiling|emotion|happy|sad|angry|blur|blurry|blurred|blurring|blending boundary|blending|boundary|boundaries|seam|seams|colour mismatch|color mismatch|colour|color|colours|colors|lighting|shadow|shadows|texture|textures|skin tone|smooth|smoothing|smoothness|too smooth|jpeg|compression|noise|pixel|pixels|resolution|spliced|splicing|warped|warping|distorted|distortion|asymmetry|asymmetric|reflections|reflection|sharp|sharpness',
  ],
  [
    'harmless',
    'hello|hi|welcome|thanks|thank you|you are welcome|i only|i can only|ask me|sorry|i understand|glad to|happy to help|research model|can be wrong|could be wrong|may be wrong|might be wrong|outside what|the evidence|i see|good question|certainly not certain|not a certainty|no certainty|i report|other means|caution|of course|goodbye',
  ],
  ['yes', 'yes|yeah|yep|correct|that is correct|that is right|exactly|you are right'],
];

/** Words that make a clause a clause. Some of them carry a tag besides. */
export const VERBS: ReadonlySet<string> = new Set(
  (
    "see sees saw is are was were be am 's 're 'm isn't aren't wasn't weren't looks look appears appear seems seem looked appeared seemed shows show " +
    'showed has have had stays stay stayed remains remain counts count reaches exceeds exceed marks mark marked singles stands stand lies lie falls fall ' +
    "points say says said think believe does do did doesn't don't didn't can cannot can't will won't would could should may might must covers cover contains " +
    'contain means mean suggests suggest indicates indicate proves prove reports report names name highlights highlight considers consider tells tell gives give ' +
    'found find finds detected detects detect sits sit rates rated scores scored passes crosses misses affects affect spans bears reveals reveal ' +
    "compare check search examine zoom inspect verify treat ask confirms confirm denies deny supports support got gets concentrates peaks hasn't haven't " +
    'flags flagged classified classifies judged judges deems deemed called calls labelled labeled betrays equals amounts came comes belongs'
  ).split(' '),
);

/** Words after which a phrase of these words is not a claim: the detector's own name and the like. */
const COMPOUNDS: readonly Entry[] = [
  [
    'word',
    'forgery detector|deepfake detector|fake detector|manipulation detector|forgery detection|deepfake detection|manipulation detection|forgery map|forgery traces map|localisation map|localization map|forgery localisation|face forgery detection|deepfake analysis|real time|real world|natural light|natural lighting|artificial light|artificial intelligence|generated by the detector|original question|your original question|real question|clear answer|clear verdict|real risk|as generated|forgery prompts|good idea|for example|on the other hand|in real life|fake news|in the original|fine detail|fine details|all in all|at first sight',
  ],
];

function compile(entries: readonly Entry[]): ReadonlyMap<string, readonly Phrase[]> {
  const phrases = new Map<string, Phrase[]>();
  for (const [tag, alternatives, sense = {}] of entries)
    for (const alternative of alternatives.split('|')) {
      const words = alternative.match(/[\p{L}\p{M}']+|\d+|\S/gu) ?? [];
      const first = words[0] ?? '';
      const list = phrases.get(first) ?? [];
      list.push({ words, tag, sense });
      phrases.set(first, list);
    }
  // The longest phrase wins; of equally long ones the one listed first.
  for (const list of phrases.values()) list.sort((a, b) => b.words.length - a.words.length);
  return phrases;
}

/** All phrases by their first word, longest first. */
export const PHRASES = compile([...COMPOUNDS, ...REGIONS, ...VERDICTS, ...NUMBERS, ...GRAMMAR]);
