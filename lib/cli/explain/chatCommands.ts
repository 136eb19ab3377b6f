import path from 'node:path';
import { KfdError } from '../../errors.js';
import { encodePng } from '../../image/encode.js';
import { describeClaim } from '../../report/answerWords.js';
import { fileStem } from '../../report/flowFiles.js';
import { overlayOnCrop } from '../../report/overlay.js';
import { formatTable, printable, writeResult } from '../output.js';
import { saveDialogue, writeOwnFile } from './dialogueFile.js';
import { writeReport, type Session } from './session.js';

/** What can be typed in the chat besides questions. */
interface ChatCommand {
  words: string;
  help: string;
  /** Resolves to true when the chat is to end. */
  run(session: Session, argument: string): Promise<boolean>;
}

async function showRegions({ subject }: Session): Promise<boolean> {
  const { regions, namedRegions, extent } = subject.face;
  if (regions.length === 0) {
    await writeResult('No regions: the crop is not a canonical face crop.');
    return false;
  }
  const rows = regions.map(({ name, score, share }) => [
    name,
    score.toFixed(3),
    `${(100 * share).toFixed(1)} %`,
    namedRegions.includes(name) ? 'yes' : '',
  ]);
  await writeResult(formatTable([['region', 'mean of the map', 'share of the map', 'stands out'], ...rows]));
  if (extent !== null) await writeResult(`${(100 * extent).toFixed(0)} % of the face is marked.`);
  return false;
}

/** With --report the page and its pictures, otherwise one picture in the working folder. */
async function writeMap(session: Session, argument: string): Promise<boolean> {
  const { detection, face, number, name } = session.subject;
  const map = detection.maps[detection.faces.indexOf(face)];
  if (map?.pixels === undefined) {
    await writeResult('No map: this detection was read from a file, which holds none.');
    return false;
  }
  if (session.report !== undefined && argument === '') {
    const written = await writeReport(session, session.report);
    await writeResult(`map: ${written.map ?? ''}\nreport so far: ${written.page}`);
    return false;
  }
  const file = path.resolve(argument === '' ? `${fileStem(name)}-face${number}-map.png` : argument);
  if (path.extname(file).toLowerCase() !== '.png')
    throw new KfdError('ERR_KFD_USAGE', `Expected a file ending in .png but received ${argument}.`);
  await writeOwnFile(file, await encodePng(overlayOnCrop(map.pixels, map)));
  await writeResult(`map: ${file}`);
  return false;
}

async function showClaims({ dialogue }: Session): Promise<boolean> {
  const last = dialogue.history.at(-1);
  if (last === undefined) await writeResult('Nothing was answered yet.');
  else if (last.claims.length === 0) await writeResult('The last answer claims nothing about the result.');
  for (const line of last?.claims.flatMap(describeClaim) ?? []) await writeResult(printable(line));
  return false;
}

async function save(session: Session, argument: string): Promise<boolean> {
  if (session.dialogue.history.length === 0) await writeResult('Nothing was answered yet.');
  else await writeResult(`saved: ${await saveDialogue(session, argument)}`);
  return false;
}

async function showHelp(): Promise<boolean> {
  const rows = Object.entries(CHAT_COMMANDS).map(([name, { words, help }]) => [
    `/${name}${words === '' ? '' : ` ${words}`}`,
    help,
  ]);
  await writeResult(formatTable(rows));
  await writeResult('Anything else is a question. Ctrl-C stops an answer, twice at the empty prompt leaves.');
  return false;
}

const CHAT_COMMANDS: Readonly<Record<string, ChatCommand>> = {
  help: { words: '', help: 'this list', run: showHelp },
  regions: { words: '', help: 'the map in numbers, region by region', run: showRegions },
  map: { words: '[FILE.png]', help: 'write the map over the face as a picture', run: writeMap },
  claims: { words: '', help: 'what the last answer claims, and the numbers behind it', run: showClaims },
  save: { words: 'FILE', help: 'write the dialogue: .md to read, .json or .jsonl for programs', run: save },
  quit: { words: '', help: 'leave, as Ctrl-D does', run: () => Promise.resolve(true) },
};

/** For completion with the Tab key. */
export const COMMAND_WORDS: readonly string[] = Object.keys(CHAT_COMMANDS).map((name) => `/${name}`);

/**
 * Runs a line that begins with a slash.
 *
 * @returns whether the chat is to end
 * @throws KfdError those of the command
 */
export async function runChatCommand(session: Session, line: string): Promise<boolean> {
  const [, name = '', argument = ''] = /^\/(\S*)\s*(.*)$/.exec(line) ?? [];
  const command = Object.hasOwn(CHAT_COMMANDS, name) ? CHAT_COMMANDS[name] : undefined;
  if (command !== undefined) return command.run(session, argument.trim());
  await writeResult(`There is no /${printable(name)}. /help lists what there is.`);
  return false;
}
