import type { Affine, FloatArray, InputSpec } from '../native/types.js';
import type { RgbImage } from './rgbImage.js';

/** The network's input and the picture it came from. */

/** The mapping from pixels of the network's input to those of a picture that was fitted into it as a whole. */
export function fitAffine(
  image: Pick<RgbImage, 'width' | 'height'>,
  { width, height, fit }: InputSpec,
): Affine {
  const [scaleX, scaleY] = [image.width / width, image.height / height];
  if (fit === 'stretch') return [scaleX, 0, 0, 0, scaleY, 0];
  const scale = fit === 'crop' ? Math.min(scaleX, scaleY) : Math.max(scaleX, scaleY);
  return [scale, 0, (image.width - scale * width) / 2, 0, scale, (image.height - scale * height) / 2];
}

/**
 * The pixels that a ready-made network input shows: normalising undone, rounded and clipped to bytes.
 *
 * @param tensor (B,3,H,W), normalised by `spec`
 * @param index which image of the batch
 */
export function pictureOfTensor(
  { shape, data }: FloatArray,
  index: number,
  { mean, std }: InputSpec,
): RgbImage {
  const [, , height = 0, width = 0] = shape;
  const plane = height * width;
  const pixels = new Uint8Array(plane * 3);
  for (let channel = 0; channel < 3; channel += 1) {
    const offset = (index * 3 + channel) * plane;
    const [shift, scale] = [mean[channel] ?? 0, std[channel] ?? 1];
    for (let pixel = 0; pixel < plane; pixel += 1) {
      const value = 255 * ((data[offset + pixel] ?? 0) * scale + shift);
      pixels[pixel * 3 + channel] = Math.min(255, Math.max(0, Math.round(value)));
    }
  }
  return { data: pixels, width, height, format: 'raw' };
}

/** One image of a batch as a batch of its own. */
export function imageOfBatch({ shape, data }: FloatArray, index: number): FloatArray {
  const size = data.length / (shape[0] ?? 1);
  return { shape: [1, ...shape.slice(1)], data: data.slice(index * size, (index + 1) * size) };
}
