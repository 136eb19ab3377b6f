import { colorTable, type ColorMapName } from './colorMap.js';

/**
 * Colour tables of attention-flow maps, 256 entries of RGB. Inferno and viridis are the report's own; `jet` is what
 * the published pictures use (entries of OpenCV's COLORMAP_JET); `diverging` is for signed maps: zero is near white,
 * blue stands against the target, red for it, equally far in lightness (interpolated in Oklab).
 *
 * No Node and no DOM here: the viewer page carries the same code.
 */

export type FlowColors = ColorMapName | 'jet' | 'diverging';

const ENTRIES = 256;
const byte = (value: number): number => Math.min(255, Math.max(0, Math.round(value)));

function jetTable(): Uint8Array {
  const table = new Uint8Array(3 * ENTRIES);
  for (let i = 0; i < ENTRIES; i += 1) {
    const red = Math.min(4 * i - 382, 1148 - 4 * i);
    const green = Math.min(4 * i - 128, 892 - 4 * i);
    const blue = i === 159 ? 1 : Math.min(4 * i + 128, 638 - 4 * i); // OpenCV's table leaves the line there
    table.set([byte(red), byte(green), byte(blue)], 3 * i);
  }
  return table;
}

/** sRGB bytes of an Oklab colour (B. Ottosson 2020), clipped to the gamut. */
function oklabToRgb(lightness: number, a: number, b: number): [number, number, number] {
  const long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const short = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const gamma = (linear: number) =>
    byte(255 * (linear <= 0.0031308 ? 12.92 * linear : 1.055 * linear ** (1 / 2.4) - 0.055));
  return [
    gamma(4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short),
    gamma(-1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short),
    gamma(-0.0041960863 * long - 0.7034186147 * medium + 1.707614701 * short),
  ];
}

const LIGHTNESS_AT_ZERO = 0.97;
const LIGHTNESS_AT_END = 0.47;
/** Largest chroma that both ends can show in sRGB. */
const CHROMA_AT_END = 0.155;
const RED_HUE = (32 * Math.PI) / 180;
const BLUE_HUE = (262 * Math.PI) / 180;

function divergingTable(): Uint8Array {
  const table = new Uint8Array(3 * ENTRIES);
  for (let i = 0; i < ENTRIES; i += 1) {
    const signed = (2 * i) / (ENTRIES - 1) - 1;
    const strength = Math.abs(signed);
    const hue = signed < 0 ? BLUE_HUE : RED_HUE;
    const lightness = LIGHTNESS_AT_ZERO + (LIGHTNESS_AT_END - LIGHTNESS_AT_ZERO) * strength;
    const chroma = CHROMA_AT_END * strength;
    table.set(oklabToRgb(lightness, chroma * Math.cos(hue), chroma * Math.sin(hue)), 3 * i);
  }
  return table;
}

const JET = jetTable();
const DIVERGING = divergingTable();

/** The table of a colour map, 256 x 3 bytes; entry round(255 * v) is the colour of position v in 0..1. */
export function flowColorTable(name: FlowColors): Uint8Array {
  if (name === 'jet') return JET;
  if (name === 'diverging') return DIVERGING;
  return colorTable(name);
}
