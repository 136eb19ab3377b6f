/** The parts of a face that the detector reports on, by their names in its manifest. */
export const PART_NAMES = [
  'right eye',
  'right cheek',
  'right jaw',
  'left eye',
  'left cheek',
  'left jaw',
  'nose_ridge',
  'nose',
] as const;

/** All region names, the two composites last. */
export const REGION_NAMES = [...PART_NAMES, 'center face', 'full face'] as const;

const CENTER_PARTS = ['nose', 'nose_ridge', 'left eye', 'right eye'];

/** The parts that a composite region covers, itself excluded; none for a part. */
export function partsOfRegion(name: string): readonly string[] {
  if (name === 'full face') return [...PART_NAMES, 'center face'];
  return name === 'center face' ? CENTER_PARTS : [];
}

/** Whether a region is one of `named` or lies inside one of them. */
export function isCovered(name: string, named: Iterable<string>): boolean {
  for (const other of named) if (other === name || partsOfRegion(other).includes(name)) return true;
  return false;
}

/** A region's name as sentences give it. Left and right are the person's own. */
export function regionPhrase(name: string): string {
  if (name === 'full face') return 'the whole face';
  if (name === 'center face') return 'the center of the face';
  if (name === 'nose_ridge') return 'the bridge of the nose';
  const jaw = /^(left|right) jaw$/.exec(name);
  return jaw ? `the ${jaw[1] ?? ''} side of the jaw` : `the ${name}`;
}

/** "the nose, the left cheek and the right eye". */
export function regionList(names: readonly string[]): string {
  const phrases = names.map(regionPhrase);
  const last = phrases.pop() ?? '';
  return phrases.length === 0 ? last : `${phrases.join(', ')} and ${last}`;
}

/** With a capital, for the beginning of a sentence. */
export function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
