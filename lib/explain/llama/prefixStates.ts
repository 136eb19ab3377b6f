import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { LlamaPrefix } from '../../native/llm.js';
import { prefixKey, type PrefixKeyParts, type PrefixText } from '../prefix.js';
import type { Token } from './nodeLlama.js';
import { withPrivateFolder } from './privateFolder.js';
import type { PrefixState } from './softPrefix.js';

/** Rows of one prefix: the visual token, then forgery prompts and score token. */
export interface PrefixRows {
  visual: Float32Array;
  evidence: Float32Array;
}

/** Decodes prefixes and keeps the last ones: a second dialogue about a face need not decode its prefix again. */
export class PrefixStates {
  /** By their keys, last used last. */
  private readonly states = new Map<string, PrefixState>();

  constructor(
    private readonly prefix: LlamaPrefix,
    /** Stand for the rows in a token list: visual token first. */
    private readonly placeholders: readonly number[],
    /** The files that a state depends on. */
    private readonly files: Omit<PrefixKeyParts, 'text' | 'rows'>,
    /** States to keep, 1 to 2 MB each. */
    private readonly most: number,
  ) {}

  /** @throws KfdError those of LlamaPrefix.write, ERR_KFD_FILE_WRITE */
  async stateOf(text: PrefixText, rows: PrefixRows, signal?: AbortSignal): Promise<PrefixState> {
    const key = prefixKey({ ...this.files, text, rows: [rows.visual, rows.evidence] });
    const state = this.states.get(key) ?? (await this.decode(key, text, rows, signal));
    this.states.delete(key);
    this.states.set(key, state);
    for (const oldest of this.states.keys()) {
      if (this.states.size <= this.most) break;
      this.states.delete(oldest);
    }
    return state;
  }

  private async decode(
    key: string,
    text: PrefixText,
    rows: PrefixRows,
    signal: AbortSignal | undefined,
  ): Promise<PrefixState> {
    const head = this.prefix.tokenize(`<|im_start|>user\n${text.head}`, { special: true });
    const middle = this.prefix.tokenize(text.middle);
    const visual = Int32Array.from(this.placeholders.slice(0, 1));
    const evidence = Int32Array.from(this.placeholders.slice(1));
    const pieces = [
      { tokens: head },
      { rows: rows.visual, placeholders: visual },
      { tokens: middle },
      { rows: rows.evidence, placeholders: evidence },
    ];
    const bytes = await withPrivateFolder(async (folder) => {
      const file = path.join(folder, 'prefix.state');
      await this.prefix.write({ file, pieces, signal });
      return readFile(file);
    });
    return { key, tokens: [...head, ...visual, ...middle, ...evidence] as Token[], bytes };
  }
}
