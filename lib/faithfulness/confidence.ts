import { checkSameSize, scaleToUnit, type Picture, type Plane } from './plane.js';

/**
 * Chattopadhay et al., Grad-CAM++ (2018), 4.1: does the map alone keep the score?
 */

/**
 * E * x: the picture weighed by its map. The map is scaled to 0..1; where it is 0 lies the mean colour, the zero of the
 * network's normalised input, as torch-cam multiplies.
 * @param mean colour that normalisation turns into zeros
 */
export function explanationPicture(
  picture: Picture,
  map: Plane,
  mean: readonly [number, number, number],
): Picture {
  checkSameSize('picture and map', picture, map);
  const { data: weights } = scaleToUnit(map);
  const data = picture.data.map((value, i) => {
    const grey = mean[i % 3] ?? 0;
    return grey + (weights[Math.floor(i / 3)] ?? 0) * (value - grey);
  });
  return { ...picture, data };
}

/** Average Drop of one image: max(0, m(x) - m(E * x)) / m(x), 0 best; 0 where the score was 0 already. */
export function averageDrop(score: number, explained: number): number {
  return score > 0 ? Math.max(0, score - explained) / score : 0;
}

/** Increase in Confidence of one image: 1 where m(E * x) > m(x). */
export function increaseInConfidence(score: number, explained: number): number {
  return explained > score ? 1 : 0;
}
