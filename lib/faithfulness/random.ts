/** FNV-1a, 32 bits. */
function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** One step of SplitMix32: spreads similar seeds over the state. */
function splitMix(state: number): number {
  let mixed = state | 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}

/** xoshiro128** (Blackman and Vigna): the same numbers for the same seed on every machine. */
export class Random {
  private readonly state = new Uint32Array(4);
  private spare: number | undefined;

  /** @param purpose names the stream: what is drawn for one image does not depend on the images before it */
  constructor(seed: number, purpose = '') {
    let state = (splitMix(seed) ^ hashText(purpose)) >>> 0;
    for (let i = 0; i < 4; i += 1) {
      state = (state + 0x9e3779b9) >>> 0;
      this.state[i] = splitMix(state);
    }
    if (this.state.every((word) => word === 0)) this.state[0] = 1;
  }

  private bits(): number {
    const s = this.state;
    const [a, b, c, d] = [s[0] ?? 0, s[1] ?? 0, s[2] ?? 0, s[3] ?? 0];
    const scaled = Math.imul(b, 5);
    const result = Math.imul((scaled << 7) | (scaled >>> 25), 9);
    s[0] = a ^ d ^ b;
    s[1] = b ^ c ^ a;
    s[2] = c ^ a ^ (b << 9);
    const last = d ^ b;
    s[3] = (last << 11) | (last >>> 21);
    return result >>> 0;
  }

  /** Uniform in [0, 1). */
  next(): number {
    return this.bits() / 2 ** 32;
  }

  /** Uniform in 0 .. limit - 1. */
  integer(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  /** Standard normal (Box and Muller). */
  gaussian(): number {
    if (this.spare !== undefined) {
      const value = this.spare;
      this.spare = undefined;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - this.next()));
    const angle = 2 * Math.PI * this.next();
    this.spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  /** 0 .. count - 1 in random order (Fisher and Yates). */
  permutation(count: number): Uint32Array {
    const order = Uint32Array.from({ length: count }, (_, i) => i);
    for (let i = count - 1; i > 0; i -= 1) {
      const j = this.integer(i + 1);
      const value = order[i] ?? 0;
      order[i] = order[j] ?? 0;
      order[j] = value;
    }
    return order;
  }
}
