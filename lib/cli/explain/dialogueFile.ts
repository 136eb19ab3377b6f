import { existsSync } from 'node:fs';
import path from 'node:path';
import { writeFileAtomically } from '../../data/writeFileAtomically.js';
import { KfdError } from '../../errors.js';
import { describeMaturity } from '../../kfd/maturity.js';
import { describeCheck, describeVoice, voiceOf } from '../../report/answerWords.js';
import { printable, printableLines } from '../output.js';
import type { Session } from './session.js';

/** Markdown's own signs, so that a file name or an answer cannot become a link, a heading or HTML. */
function plain(text: string): string {
  return printableLines(text).replace(/[\\`*_{}[\]<>#|!~&]/g, '\\$&');
}

function markdown({ subject, dialogue }: Session): string {
  const { detection, name, face, number } = subject;
  const { model, faces } = detection;
  const which = faces.length === 1 ? '' : `, face ${number} of ${faces.length}`;
  const answers = dialogue.history;
  const [first] = answers;
  const lines = [
    `# ${plain(name)}${which}`,
    `**${face.verdict.toUpperCase()}**: forgery score ${face.score.toFixed(3)}, threshold ${face.threshold}.`,
    `Detector ${plain(model.name)}, SHA-256 ${model.sha256}. ${describeMaturity(model.maturity)}`,
    ...(first === undefined ? [] : [plain(describeVoice(voiceOf(first)))]),
  ];
  for (const answer of answers) {
    lines.push(`## ${plain(answer.question.replace(/\s+/g, ' '))}`, plain(answer.text));
    const check = describeCheck(answer);
    if (check.length > 0) lines.push(check.map((line) => `- ${plain(line.trim())}`).join('\n'));
  }
  return `${lines.join('\n\n')}\n`;
}

const WRITERS: Readonly<Record<string, (session: Session) => string>> = {
  '.md': markdown,
  '.jsonl': jsonLines,
  '.json': jsonLines,
};

/** kfd.answer/1, one a line. */
function jsonLines({ dialogue }: Session): string {
  return dialogue.history.map((answer) => `${JSON.stringify(answer)}\n`).join('');
}

/** Files that this process has written and may write again. */
const written = new Set<string>();

/** @throws KfdError ERR_KFD_FILE_WRITE when the file is somebody else's */
export function checkOverwrite(file: string): void {
  if (written.has(file) || !existsSync(file)) return;
  throw new KfdError('ERR_KFD_FILE_WRITE', `${file} is there already.`, { hint: 'Give another name.' });
}

/** Writes a file of ours that did not exist before this session. */
export async function writeOwnFile(file: string, content: string | Uint8Array): Promise<void> {
  checkOverwrite(file);
  await writeFileAtomically(file, content);
  written.add(file);
}

/**
 * Saves the dialogue: FILE.md to read, FILE.json or FILE.jsonl one `kfd.answer/1` a line.
 *
 * @returns the absolute path
 * @throws KfdError ERR_KFD_USAGE for another suffix, ERR_KFD_FILE_WRITE
 */
export async function saveDialogue(session: Session, file: string): Promise<string> {
  const write = WRITERS[path.extname(file).toLowerCase()];
  if (write === undefined) {
    const expected = `Expected a file ending in ${Object.keys(WRITERS).join(', ')} but received`;
    throw new KfdError('ERR_KFD_USAGE', `${expected} ${printable(file)}.`, { hint: '/save dialogue.md' });
  }
  const absolute = path.resolve(file);
  await writeOwnFile(absolute, write(session));
  return absolute;
}
