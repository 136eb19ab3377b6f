import { stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { KfdError } from '../../errors.js';
import type { PrefixGuard } from './chatSpeaker.js';
import type { Sequence, Token } from './nodeLlama.js';
import { withPrivateFolder } from './privateFolder.js';

/** A decoded prefix: what llama.cpp saves of a sequence, and the tokens that stand for it. */
export interface PrefixState {
  /** See prefixKey(). */
  readonly key: string;
  /** Real tokens, with placeholders where the soft rows are. */
  readonly tokens: readonly Token[];
  readonly bytes: Uint8Array;
}

/**
 * Keeps the soft prefix at the start of one sequence. The danger is silent: where it is lost, the placeholders are
 * evaluated as ordinary tokens and the model answers fluently about nothing. So the sequence is trusted only while its
 * tokens start with the prefix's and nobody but the guarded turns has evaluated anything in it.
 */
export class SoftPrefix implements PrefixGuard {
  private trusted = false;
  private evaluated = 0;

  constructor(
    private readonly sequence: Sequence,
    private readonly state: PrefixState,
  ) {}

  async ensure(): Promise<void> {
    const { usedInputTokens } = this.sequence.tokenMeter;
    if (this.trusted && usedInputTokens === this.evaluated && this.isAtStart()) return;
    await this.load();
    this.trusted = true;
    this.evaluated = this.sequence.tokenMeter.usedInputTokens;
  }

  survived(evaluated: number, tokens: readonly Token[]): boolean {
    this.evaluated = this.sequence.tokenMeter.usedInputTokens;
    return evaluated <= tokens.length - this.state.tokens.length && this.isAtStart();
  }

  distrust(): void {
    this.trusted = false;
  }

  private isAtStart(): boolean {
    const { contextTokens } = this.sequence;
    return this.state.tokens.every((token, i) => contextTokens[i] === token);
  }

  private async load(): Promise<void> {
    await this.sequence.clearHistory();
    await withPrivateFolder(async (folder) => {
      const file = path.join(folder, 'prefix.state');
      await writeFile(file, this.state.bytes, { mode: 0o600 });
      // llama.cpp aborts the process on a truncated state.
      const { size } = await stat(file);
      if (size !== this.state.bytes.length) {
        throw new KfdError(
          'ERR_KFD_FILE_WRITE',
          `${file} holds ${size} of ${this.state.bytes.length} bytes.`,
          {
            hint: 'The disk of the temporary folder is probably full.',
          },
        );
      }
      await this.sequence.loadStateFromFile(file, { acceptRisk: true });
    });
    if (!this.isAtStart()) {
      throw new KfdError('ERR_KFD_INTERNAL', 'The saved evidence did not load into the language model.', {
        hint: 'Please report this.',
      });
    }
  }
}
