/**
 * A decoded picture: 8-bit sRGB, three interleaved channels, rows without padding, upright (EXIF orientation applied).
 * `data` has width * height * 3 bytes. While a native job runs on it, do not write to it.
 */
export interface RgbImage {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
  /** What it was decoded from ("jpeg", "png", ...); "raw" for pixels that the caller supplied. */
  readonly format: string;
}

/** Pixels that the caller has already decoded. With four channels the last is alpha (not premultiplied). */
export interface RawImage {
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
  /** Default 3. */
  readonly channels?: 3 | 4;
}

/** A path, the bytes of an encoded picture, or pixels. */
export type ImageSource = string | Uint8Array | RawImage;

/**
 * RGBA to RGB over black, which is also what surrounds the picture in every crop, so that no bright edge appears where
 * a picture is transparent.
 */
export function flattenOnBlack(rgba: Uint8Array | Uint8ClampedArray): Uint8Array {
  const pixels = rgba.length / 4;
  const rgb = new Uint8Array(pixels * 3);
  for (let pixel = 0; pixel < pixels; pixel += 1) {
    const alpha = rgba[pixel * 4 + 3] ?? 0;
    for (let channel = 0; channel < 3; channel += 1) {
      rgb[pixel * 3 + channel] = Math.round(((rgba[pixel * 4 + channel] ?? 0) * alpha) / 255);
    }
  }
  return rgb;
}
