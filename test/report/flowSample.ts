import type { Completeness, FlowDocument, FlowMaps, GridMap } from '../../lib/daam/flowDocument.js';
import { encodePng } from '../../lib/image/encode.js';
import type { FlowPicture } from '../../lib/report/flowPage.js';

/**
 * Flow documents out of formulas, for tests of the pages: blobs that wander over the grid and grow, so that every
 * block, view and target looks different and every number can be recomputed.
 */

export interface SampleOptions {
  grid?: readonly [number, number];
  blocks?: number;
  /** Names as on the command line. */
  targets?: readonly string[];
  path?: string | null;
  /** Every map holds this value instead. */
  constant?: number;
  coefficients?: FlowDocument['coefficients'];
  /** Maps by head: head k holds 1 / (k + 1) of the block's map. */
  heads?: number;
}

const zeros = (length: number): number[] => new Array<number>(length).fill(0);
const total = (map: GridMap): number => map.flat().reduce((sum, value) => sum + value, 0);

/** Block b of target t: one blob for and one against the target, strongest after two thirds of the blocks. */
function signedMap(
  [height, width]: readonly [number, number],
  block: number,
  blocks: number,
  target: number,
): GridMap {
  const time = block / Math.max(1, blocks - 1);
  const strength = 0.8 * Math.exp(-(((time - 0.66 + 0.2 * target) / 0.16) ** 2)) + 0.02 * time;
  const blob = (x: number, y: number, atX: number, atY: number, size: number) =>
    Math.exp(-((x - atX) ** 2 + (y - atY) ** 2) / (2 * size * size));
  return Array.from({ length: height }, (_, row) =>
    Array.from({ length: width }, (_, column) => {
      const [x, y] = [(column + 0.5) / width, (row + 0.5) / height];
      const support = blob(
        x,
        y,
        0.75 - 0.4 * time,
        0.2 + 0.25 * time + 0.2 * target,
        0.1 + 0.06 * (1 - time),
      );
      const against = blob(x, y, 0.2 + 0.6 * time, 0.85, 0.12);
      const ripple = 0.06 * Math.sin(9 * x + 5 * y + block);
      return Math.fround(strength * (support - 0.45 * against + ripple));
    }),
  );
}

function completenessOf(signed: readonly GridMap[], y: number): Completeness {
  const blocks = signed.map((map, block) => ({
    patches: total(map) / 10,
    prefix: 0.4 * Math.sin(block),
    attentionBias: -0.15 - 0.02 * block,
    mlp: 0.9 * Math.cos(0.9 * block),
  }));
  const add = (key: 'patches' | 'prefix' | 'attentionBias' | 'mlp') =>
    blocks.reduce((sum, block) => sum + block[key], 0);
  const parts = {
    patches: add('patches'),
    prefix: add('prefix'),
    attentionBias: add('attentionBias'),
    mlp: add('mlp'),
    embedding: 0.31,
    normBias: 1.7,
    headBias: -0.02,
  };
  const sum = Object.values(parts).reduce((left, right) => left + right, 0);
  const value = sum + 2.4e-6;
  return { value, ...parts, sum, residual: value - sum, remainder: y - value, blocks };
}

function flowOf(
  name: string,
  target: number,
  options: SampleOptions & Required<Pick<SampleOptions, 'grid' | 'blocks'>>,
): FlowMaps {
  const { grid, blocks, constant, heads } = options;
  const signed = Array.from({ length: blocks }, (_, block) =>
    constant === undefined
      ? signedMap(grid, block, blocks, target)
      : Array.from({ length: grid[0] }, () => zeros(grid[1]).map(() => constant)),
  );
  const block_maps = signed.map((map) => map.map((row) => row.map((value) => Math.max(0, value))));
  const accumulated: GridMap[] = [];
  for (const map of block_maps) {
    const before = accumulated.at(-1);
    accumulated.push(
      map.map((row, r) => row.map((value, c) => Math.fround(value + (before?.[r]?.[c] ?? 0)))),
    );
  }
  const masses = block_maps.map(total);
  const mass = masses.reduce((sum, value) => sum + value, 0);
  const share = masses.map((value) => (mass > 0 ? value / mass : 0));
  let reached = 0;
  const running = share.map((value) => (reached += value));
  const first = (part: number) => (mass > 0 ? running.findIndex((value) => value >= part - 1e-9) : null);
  const y = 3.2 - target;
  return {
    target: { name, kind: name.split(':')[0] ?? name, description: `sample target ${name}` },
    y,
    block_maps,
    accumulated,
    signed,
    prefix_mass: signed.map((_, block) => 0.1 * block),
    share,
    milestones: { half: first(0.5), ninety: first(0.9) },
    agreement: {
      iou: running.map((value) => value ** 0.7),
      spearman: running.map((value) => (mass > 0 ? 0.35 + 0.65 * value : 0)),
    },
    identity_error: 3.1e-7,
    completeness: completenessOf(signed, y),
    ...(heads === undefined
      ? {}
      : {
          heads: block_maps.map((map) =>
            Array.from({ length: heads }, (_, head) =>
              map.map((row) => row.map((value) => value / (head + 1))),
            ),
          ),
        }),
  };
}

/** A document of `targets.length` flows. */
export function sampleDocument(options: SampleOptions = {}): FlowDocument {
  const { grid = [16, 16], blocks = 12, targets = ['forgery'], path = 'photos/face.jpg' } = options;
  const [height, width] = grid;
  return {
    schema: 'kfd.daam/1',
    input: { path, width: 640, height: 480 },
    crop: [1, 0, 100, 0, 1, 40],
    network: { width: width * 14, height: height * 14 },
    model: {
      name: 'sample',
      sha256: 'ab'.repeat(32),
      device: 'cpu',
      precision: 'fp32',
      maturity: 'demonstration',
    },
    coefficients: options.coefficients ?? 'gradient',
    rows: 'class',
    grid,
    blocks,
    prefix_tokens: 1,
    notes: [],
    verdict: { score: 0.961, threshold: 0.5, verdict: 'fake' },
    flows: targets.map((name, target) => flowOf(name, target, { ...options, grid, blocks })),
    timing: { forwardMs: 41.2, flowMs: 38.5 },
  };
}

/** A picture of the document's network size: a calm gradient with a lighter disc. */
export async function samplePicture({ network: { width, height } }: FlowDocument): Promise<FlowPicture> {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const disc = Math.hypot(x / width - 0.5, y / height - 0.45) < 0.3 ? 60 : 0;
      data.set(
        [90 + (60 * x) / width + disc, 100 + (40 * y) / height + disc, 120 + disc],
        (y * width + x) * 3,
      );
    }
  }
  return { png: await encodePng({ data, width, height, format: 'raw' }), width, height };
}
