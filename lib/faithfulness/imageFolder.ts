import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { readTextFile } from '../data/readTextFile.js';
import { KfdError } from '../errors.js';
import { isFile, isFolder } from '../setup/files.js';
import { Random } from './random.js';

/** One image of the folder, with the mask and the group that belong to it. */
export interface EvaluationImage {
  /** File name within the folder. */
  name: string;
  file: string;
  mask: string | undefined;
  group: string | undefined;
}

export interface FolderOptions {
  /** Folder of the masks; default: beside the images. */
  masks?: string | undefined;
  /** An image without a mask is an error. */
  needMasks: boolean;
  /** CSV with the columns image and group. */
  groups?: string | undefined;
  /** Take so many images, drawn by the seed. */
  limit?: number | undefined;
  seed: number;
}

const IMAGE_FILE = /\.(jpe?g|jfif|png|webp|gif|tiff?|avif|bmp)$/i;
const MASK_SUFFIX = '.mask.png';
const stem = (name: string): string => path.parse(name).name;

async function listImages(folder: string): Promise<string[]> {
  if (!(await isFolder(folder))) {
    throw new KfdError('ERR_KFD_FILE_NOT_FOUND', `Expected a folder of images but found none at ${folder}.`, {
      hint: 'Check the path.',
    });
  }
  const names = (await readdir(folder))
    .filter((name) => !name.startsWith('.') && IMAGE_FILE.test(name))
    .sort();
  const photographs = new Set(names.filter((name) => !/\.png$/i.test(name)).map(stem));
  const images = names.filter(
    (name) => !name.endsWith(MASK_SUFFIX) && !(/\.png$/i.test(name) && photographs.has(stem(name))),
  );
  if (images.length > 0) return images;
  throw new KfdError('ERR_KFD_NO_INPUT', `No images in ${folder}.`, {
    hint: 'Expected JPEG, PNG, WebP, GIF, TIFF, AVIF or BMP; NAME.mask.png is a mask and no image.',
  });
}

/** Where the mask of an image may lie, in this order. */
function maskCandidates(folder: string, masks: string | undefined, name: string): string[] {
  if (masks !== undefined) return [path.join(masks, `${stem(name)}.png`)];
  const beside = path.join(folder, `${stem(name)}.png`);
  const named = path.join(folder, stem(name) + MASK_SUFFIX);
  return /\.png$/i.test(name) ? [named] : [named, beside];
}

async function findMask(candidates: readonly string[]): Promise<string | undefined> {
  for (const candidate of candidates) if (await isFile(candidate)) return candidate;
  return undefined;
}

/** Image name to group; the first line may be the heading. */
async function readGroups(file: string): Promise<Map<string, string>> {
  const text = await readTextFile(file, 'groups');
  const groups = new Map<string, string>();
  for (const line of text.split(/\r?\n/).filter((row) => row.trim() !== '')) {
    const comma = line.lastIndexOf(',');
    const [image, group] = [line.slice(0, Math.max(comma, 0)).trim(), line.slice(comma + 1).trim()];
    if (comma < 1 || group === '') {
      throw new KfdError(
        'ERR_KFD_INVALID_ARGUMENT',
        `${file}: expected "image,group" but received "${line}".`,
        {
          hint: 'One image a line: its file name, a comma, the name of its group (for example the person).',
        },
      );
    }
    if (image !== 'image' || group !== 'group') groups.set(image, group);
  }
  return groups;
}

function sample<Item>(items: readonly Item[], limit: number | undefined, seed: number): Item[] {
  if (limit === undefined || limit >= items.length) return [...items];
  const chosen = new Set(new Random(seed, 'limit').permutation(items.length).subarray(0, limit));
  return items.filter((_, i) => chosen.has(i));
}

/**
 * The images of a folder (not of its subfolders) in order of name. The mask of NAME.jpg is MASKS/NAME.png where a mask
 * folder is given, else NAME.mask.png or NAME.png beside it; that of NAME.png is NAME.mask.png.
 *
 * @throws KfdError ERR_KFD_FILE_NOT_FOUND (folder, mask, groups), ERR_KFD_NO_INPUT, ERR_KFD_INVALID_ARGUMENT
 */
export async function readImageFolder(folder: string, options: FolderOptions): Promise<EvaluationImage[]> {
  const { masks, needMasks, limit, seed } = options;
  const names = sample(await listImages(folder), limit, seed);
  const groups = options.groups === undefined ? undefined : await readGroups(options.groups);
  const images: EvaluationImage[] = [];
  for (const name of names) {
    const candidates = maskCandidates(folder, masks, name);
    images.push({
      name,
      file: path.join(folder, name),
      mask: await findMask(candidates),
      group: groups?.get(name),
    });
    if (groups !== undefined && !groups.has(name)) {
      throw new KfdError('ERR_KFD_INVALID_ARGUMENT', `${options.groups ?? ''} has no line for ${name}.`, {
        hint: 'Every image needs a group; one that stands alone is a group of its own.',
      });
    }
  }
  const bare = images.filter(({ mask }) => mask === undefined);
  const [first] = bare;
  if (needMasks && first !== undefined) {
    const expected = maskCandidates(folder, masks, first.name).join(' or ');
    throw new KfdError(
      'ERR_KFD_FILE_NOT_FOUND',
      `${bare.length} of ${images.length} images have no mask: expected ${expected} for ${first.name}.`,
      { hint: 'Give --masks DIR, or metrics that need no masks: --metrics deletion,insertion,drop.' },
    );
  }
  return images;
}
