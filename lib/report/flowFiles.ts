import path from 'node:path';
import { AttentionFlow, stackArrays } from '../daam/attentionFlow.js';
import { writeFileAtomically } from '../data/writeFileAtomically.js';
import { writeNpz } from '../data/npz.js';
import { KfdError } from '../errors.js';
import { encodePng } from '../image/encode.js';
import type { FlowPictureOptions } from './flowFrames.js';
import { flowGif } from './flowGif.js';
import { flowPage, type FlowPicture } from './flowPage.js';
import { flowPictures } from './flowPictures.js';

/** html: the viewer; png: each block and a sheet; gif: a film over the blocks; npz: the arrays; json: kfd.daam/1. */
export const FLOW_FORMATS = ['html', 'png', 'gif', 'npz', 'json'] as const;
export type FlowFormat = (typeof FLOW_FORMATS)[number];

export interface FlowFileOptions extends Omit<FlowPictureOptions, 'flow'> {
  /** Default html. */
  formats?: readonly FlowFormat[] | undefined;
  /** First part of every file name; default the input's file name without its ending. */
  name?: string | undefined;
}

/** A part of a file name made of an input's name. */
export function fileStem(name: string): string {
  const stem = path
    .parse(name)
    .name.replace(/[^\w.-]+/g, '_')
    .slice(0, 60);
  return stem.replace(/^\.+/, '') || 'image';
}

async function pictureOf({ picture }: AttentionFlow, formats: readonly FlowFormat[]): Promise<FlowPicture> {
  if (picture !== undefined)
    return { png: await encodePng(picture), width: picture.width, height: picture.height };
  throw new KfdError(
    'ERR_KFD_INVALID_ARGUMENT',
    `Expected a flow with its picture for ${formats.join(', ')} but it has none.`,
    { hint: 'Compute it with pixels: true.' },
  );
}

/** `NAME` for one target, `NAME.TARGET` for one of several. */
function targetStem(flow: AttentionFlow, name: string, place: number): string {
  return flow.targets.length === 1 ? name : `${name}.${flow.target(place).slug}`;
}

interface FlowFile {
  name: string;
  content: string | Uint8Array;
}

/** The pictures of every target; at most one of them in memory at a time would not help, they are small. */
async function pictureFiles(
  flow: AttentionFlow,
  name: string,
  formats: readonly FlowFormat[],
  options: FlowFileOptions,
): Promise<FlowFile[]> {
  const wanted = formats.filter((format) => format === 'html' || format === 'png' || format === 'gif');
  if (wanted.length === 0) return [];
  const picture = await pictureOf(flow, wanted);
  const document = flow.toJSON();
  const files: FlowFile[] = [];
  if (wanted.includes('html')) files.push({ name: `${name}.html`, content: flowPage(document, picture) });
  for (const place of flow.targets.keys()) {
    const stem = targetStem(flow, name, place);
    const { colormap, scale } = options;
    const choices: FlowPictureOptions = {
      flow: place,
      ...(colormap === undefined ? {} : { colormap }),
      ...(scale === undefined ? {} : { scale }),
    };
    if (wanted.includes('png')) {
      const pictures = await flowPictures(document, picture, choices);
      files.push(...pictures.map((each) => ({ name: `${stem}-${each.name}`, content: each.png })));
    }
    if (wanted.includes('gif'))
      files.push({ name: `${stem}.gif`, content: await flowGif(document, picture, choices) });
  }
  return files;
}

/** Writes the arrays of several images as one batch, a file a target: `NAME.npz` or `NAME.TARGET.npz`. */
export async function writeFlowArrays(
  flows: readonly AttentionFlow[],
  folder: string,
  name: string,
): Promise<string[]> {
  const [first] = flows;
  if (first === undefined) return [];
  const written: string[] = [];
  for (const place of first.targets.keys()) {
    const file = path.join(folder, `${targetStem(first, name, place)}.npz`);
    await writeNpz(file, stackArrays(flows.map((flow) => flow.arrays(place))));
    written.push(file);
  }
  return written;
}

/**
 * Writes one image's flow, each file whole or not at all.
 *
 * @returns the paths, in the order of the formats
 * @throws KfdError ERR_KFD_FILE_WRITE; ERR_KFD_INVALID_ARGUMENT for html, png and gif of a flow without picture;
 *   ERR_KFD_TOOL_MISSING where sharp does not load
 */
export async function writeFlowFiles(
  flow: AttentionFlow,
  folder: string,
  options: FlowFileOptions = {},
): Promise<string[]> {
  const formats = options.formats ?? ['html'];
  const name = options.name ?? fileStem(flow.frame.input.path ?? 'image');
  const files = await pictureFiles(flow, name, formats, options);
  if (formats.includes('json')) files.push({ name: `${name}.json`, content: `${JSON.stringify(flow)}\n` });
  const written: string[] = [];
  for (const file of files) {
    const target = path.join(folder, file.name);
    await writeFileAtomically(target, file.content);
    written.push(target);
  }
  if (formats.includes('npz')) written.push(...(await writeFlowArrays([flow], folder, name)));
  return written;
}

declare module '../daam/attentionFlow.js' {
  interface AttentionFlow {
    /** {@link writeFlowFiles} for this flow. */
    writeReport(folder: string, options?: FlowFileOptions): Promise<string[]>;
  }
}

// daam/ may not import report/, yet a flow should write its own report: the package's entry loads this file.
AttentionFlow.prototype.writeReport = function writeReport(this: AttentionFlow, folder, options) {
  return writeFlowFiles(this, folder, options);
};
