import { FaceRegions } from '../../face/regions.js';
import type { RgbImage } from '../../image/rgbImage.js';
import type { DetectorModel } from '../../kfd/detectorModel.js';
import { outputOf, type Engine } from '../../native/engine.js';
import type { Affine } from '../../native/types.js';
import { PART_NAMES } from '../sentences/regionNames.js';

/** A part counts as forged from this share of its pixels on. */
const FORGED_SHARE = 0.5;

/** Reads which parts of a face a true mask covers. */
export class MaskParts {
  private readonly regions: FaceRegions;

  constructor(
    private readonly engine: Engine,
    private readonly model: Pick<DetectorModel, 'input' | 'regions'>,
  ) {
    this.regions = new FaceRegions(model.regions);
  }

  /**
   * @param mask of the picture's size; above 127: forged
   * @param crop where the picture's face lies
   * @returns the parts of which at least half is forged, by their names in the manifest
   */
  async read(mask: RgbImage, crop: Affine, signal: AbortSignal | undefined): Promise<string[]> {
    const { arrays } = await this.engine.preprocess(this.model.input, mask, { crop, signal });
    const { data } = outputOf({ arrays }, 'pixels');
    const isForged = (pixel: number): boolean => (data[pixel * 3] ?? 0) > 127;
    return PART_NAMES.filter((part) => {
      const pixels = this.regions.pixels.get(part);
      return pixels !== undefined && pixels.filter(isForged).length >= FORGED_SHARE * pixels.length;
    });
  }
}
