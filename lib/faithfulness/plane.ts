import { KfdError } from '../errors.js';

/** One number a pixel or a grid cell, row-major. */
export interface Plane {
  readonly width: number;
  readonly height: number;
  readonly data: Float32Array;
}

/** What the network sees before normalisation: interleaved RGB, 0 to 255. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly data: Float32Array;
}

/** 1 where the image was forged (or the object is), 0 elsewhere; row-major. */
export interface Mask {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

interface Sized {
  readonly width: number;
  readonly height: number;
}

/** @throws KfdError ERR_KFD_INVALID_ARGUMENT unless both have the same size */
export function checkSameSize(what: string, one: Sized, other: Sized): void {
  if (one.width === other.width && one.height === other.height) return;
  throw new KfdError(
    'ERR_KFD_INVALID_ARGUMENT',
    `Expected ${what} of one size but received ${one.width} x ${one.height} and ${other.width} x ${other.height}.`,
    { hint: 'Enlarge the map to the size of the network input first.' },
  );
}

/** @throws KfdError ERR_KFD_NOT_FINITE for NaN or infinity, which no order and no mean can hold */
export function checkFinite(what: string, values: ArrayLike<number>): void {
  for (let i = 0; i < values.length; i += 1) {
    const value = values[i] ?? NaN;
    if (Number.isFinite(value)) continue;
    throw new KfdError(
      'ERR_KFD_NOT_FINITE',
      `Expected finite numbers in ${what} but entry ${i} is ${value}.`,
      {
        hint: 'The network overflowed: look at its weights and its input.',
      },
    );
  }
}

interface Tap {
  first: number;
  second: number;
  /** Weight of `second`. */
  share: number;
}

/** The two source cells of every target pixel, half-pixel centres, edges repeated. */
function taps(from: number, to: number): Tap[] {
  return Array.from({ length: to }, (_, index) => {
    const position = Math.min(Math.max(((index + 0.5) * from) / to - 0.5, 0), from - 1);
    const first = Math.floor(position);
    return { first, second: Math.min(first + 1, from - 1), share: position - first };
  });
}

/** Bilinear enlargement with half-pixel centres (align_corners False): the range never grows, constants stay. */
export function enlarge({ width, height, data }: Plane, toWidth: number, toHeight: number): Plane {
  const columns = taps(width, toWidth);
  const result = new Float32Array(toWidth * toHeight);
  taps(height, toHeight).forEach((row, y) => {
    columns.forEach((column, x) => {
      const at = (line: number) => {
        const left = data[line * width + column.first] ?? NaN;
        return left + ((data[line * width + column.second] ?? NaN) - left) * column.share;
      };
      const above = at(row.first);
      result[y * toWidth + x] = above + (at(row.second) - above) * row.share;
    });
  });
  return { width: toWidth, height: toHeight, data: result };
}

/** (x - min) / (max - min); a constant map becomes zeros. */
export function scaleToUnit({ width, height, data }: Plane): Plane {
  let [least, most] = [Infinity, -Infinity];
  for (const value of data) {
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  const range = most - least;
  return {
    width,
    height,
    data: range > 0 ? data.map((value) => (value - least) / range) : new Float32Array(data.length),
  };
}
