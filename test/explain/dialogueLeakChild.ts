/**
 * Child of dialogueLeak.test.ts: node --expose-gc dialogueLeakChild.js. Opens a hundred dialogues after each other, each
 * answered or aborted and disposed of, and prints what a dialogue leaves behind, as JSON.
 */
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { Explainer } from '../../lib/explain/explainer.js';
import { growth } from '../native/memoryGrowth.js';
import { EXPLAINER, faceWithPrompts, testManifest } from './realExplainer.js';

const manifest = await testManifest();
const known = faceWithPrompts(manifest, 1);
const explainer = await Explainer.load({ ...EXPLAINER, dialogues: 2, maxTokens: 2, maxRounds: 1 });

async function dialogueRound(index: number): Promise<void> {
  // Every fourth face is new, so that its prefix must be decoded.
  const dialogue = await explainer.open(index % 4 === 0 ? faceWithPrompts(manifest, index) : known);
  if (index % 10 === 5) {
    const stop = new AbortController();
    const aborted = dialogue.ask('Is it fake?', { signal: stop.signal, onText: () => stop.abort() });
    await aborted.catch(() => undefined);
  } else await dialogue.ask('Is it fake?');
  await dialogue.dispose();
}

const dialogues = await growth(dialogueRound, 20, 100);
await explainer.dispose();
const folders = readdirSync(tmpdir()).filter((name) => name.startsWith('kfd-native-')).length;
process.stdout.write(`${JSON.stringify({ dialogues, folders })}\n`);
