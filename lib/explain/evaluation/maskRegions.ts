import { FaceRegions } from '../../face/regions.js';
import { RegionNaming } from '../../face/namedRegions.js';
import type { RgbImage } from '../../image/rgbImage.js';
import type { DetectorModel } from '../../kfd/detectorModel.js';
import { outputOf, type Engine } from '../../native/engine.js';
import type { Affine } from '../../native/types.js';

/** Reads which regions a true mask covers, by the very rule that names regions of the detector's map. */
export class MaskRegions {
  private readonly naming: RegionNaming;

  constructor(
    private readonly engine: Engine,
    private readonly model: Pick<DetectorModel, 'input' | 'regions' | 'naming'>,
  ) {
    this.naming = new RegionNaming(new FaceRegions(model.regions), model.naming);
  }

  /**
   * @param mask of the picture's size; above 127: forged
   * @param crop where the picture's face lies
   */
  async read(mask: RgbImage, crop: Affine, signal: AbortSignal | undefined): Promise<string[]> {
    const { arrays } = await this.engine.preprocess(this.model.input, mask, { crop, signal });
    const { data, shape } = outputOf({ arrays }, 'pixels');
    const [height = 0, width = 0] = shape;
    const map = Float32Array.from({ length: width * height }, (_, i) => ((data[i * 3] ?? 0) > 127 ? 1 : 0));
    return this.naming.names(map, 'fake');
  }
}
