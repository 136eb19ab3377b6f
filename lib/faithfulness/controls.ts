import type { Mask, Plane } from './plane.js';
import { Random } from './random.js';

/** What any map must beat: a guess that knows where masks usually lie, and no knowledge at all. */

/** Mean of the masks of other images. It never sees the image's own mask, nor one of its group. */
export class MaskPrior {
  private readonly total: Float64Array;
  private count = 0;
  private readonly members = new Map<string, Mask[]>();

  constructor(
    readonly width: number,
    readonly height: number,
  ) {
    this.total = new Float64Array(width * height);
  }

  add(group: string, mask: Mask): void {
    mask.data.forEach((value, i) => (this.total[i] = (this.total[i] ?? 0) + value));
    this.count += 1;
    this.members.set(group, [...(this.members.get(group) ?? []), mask]);
  }

  /** Undefined where no other group has a mask. */
  without(group: string): Plane | undefined {
    const own = this.members.get(group) ?? [];
    const others = this.count - own.length;
    if (others === 0) return undefined;
    const data = Float32Array.from(this.total, (sum, i) => {
      const ours = own.reduce((part, mask) => part + (mask.data[i] ?? 0), 0);
      return (sum - ours) / others;
    });
    return { width: this.width, height: this.height, data };
  }
}

/** Uniform random numbers on the patch grid, so that it is as smooth as the maps it stands beside. */
export function randomMap(width: number, height: number, seed: number, name: string): Plane {
  const random = new Random(seed, `${name} map`);
  return { width, height, data: Float32Array.from({ length: width * height }, () => random.next()) };
}
