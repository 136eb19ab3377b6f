import type { Argv } from 'yargs';
import { KfdError } from '../../errors.js';
import type { Explainer } from '../../explain/explainer.js';
import { describeMaturity } from '../../kfd/maturity.js';
import { describeVoice } from '../../report/answerWords.js';
import { defineCommand } from '../command.js';
import { STDIN } from '../detectInputs.js';
import { formatFace, reportFailure } from '../detectionPrinter.js';
import { StreamedAnswers, WholeAnswers, type AnswerPrinter } from '../explain/answerPrinter.js';
import { addExplainerOptions, detectorExplainer } from '../explain/explainerOptions.js';
import { collectQuestions } from '../explain/questionList.js';
import { writeReport, type Session, type Subject } from '../explain/session.js';
import { examineFile, examineImage, parseFace, type Examined } from '../explain/subject.js';
import { EXIT } from '../exitCodes.js';
import { addDetectorOptions } from '../detectorOptions.js';
import { interruptSignal } from '../interrupt.js';
import { checkInteger } from '../machineOptions.js';
import { paint, printableLines, writeJson, writeMessage, writeResult } from '../output.js';

function options(cli: Argv) {
  return addExplainerOptions(
    addDetectorOptions(
      cli
        .positional('image', { type: 'string', describe: 'Image file, or - for one on stdin' })
        .option('question', {
          alias: 'q',
          type: 'string',
          array: true,
          nargs: 1,
          describe: 'Ask this; may be repeated. Without it a chat on a terminal, else verdict, where and why',
        })
        .option('questions-from', {
          type: 'string',
          nargs: 1, // otherwise yargs does not take the lone - for a value
          describe: 'Read questions from this file, one a line; - reads stdin',
        })
        .option('face', {
          type: 'string',
          default: 'largest',
          describe:
            'largest, a number in the order of detect --faces all, or whole = the image is the face crop',
        })
        .option('detection', {
          type: 'string',
          describe: 'Explain a face of this saved `detect --json` instead of an image',
        }),
    ),
  )
    .option('decoding', {
      choices: ['free', 'grammar', 'decide'] as const,
      default: 'free' as const,
      describe: 'grammar admits only true answers; decide asks the model region by region',
    })
    .option('max-rounds', {
      type: 'number',
      default: 2,
      describe: 'Rounds an answer may take until it holds',
    })
    .option('check', {
      type: 'boolean',
      default: true,
      describe: 'Compare answers with the numbers; --no-check only reports',
    })
    .option('report', {
      type: 'string',
      describe: 'Write overlay pictures and an HTML page with the dialogue',
    })
    .option('json', { type: 'boolean', default: false, describe: 'One object, kfd.explanation/1' })
    .option('jsonl', {
      type: 'boolean',
      default: false,
      describe: 'One kfd.answer/1 a line, as answers come',
    })
    .option('device', { type: 'string', default: 'auto', describe: 'Of the detector: auto, cpu, cuda:0 ...' })
    .option('threads', {
      type: 'number',
      default: 1,
      describe: 'Cores for the network and for the language model',
    })
    .option('quiet', {
      type: 'boolean',
      default: false,
      describe: 'No lines about weights and language model',
    })
    .example('$0 explain photo.jpg', 'a chat about the result, on a terminal')
    .example('$0 explain photo.jpg -q "Is it fake?" -q "Where?" --json', 'two questions, for a program')
    .epilogue('Guide, fields of the JSON and limits: docs/explain.md');
}

type ExplainArguments = Awaited<ReturnType<typeof options>['argv']>;

function usage(message: string, hint: string): never {
  throw new KfdError('ERR_KFD_USAGE', message, { hint });
}

function checkArguments(args: ExplainArguments): void {
  const { image, detection, questionsFrom } = args;
  if (args.json && args.jsonl) usage('--json and --jsonl exclude each other.', 'Give one of them.');
  if (image !== undefined && detection !== undefined)
    usage('--detection takes no image.', 'Give either an image or --detection FILE.json.');
  if (args.question !== undefined && questionsFrom !== undefined)
    usage('-q and --questions-from exclude each other.', 'Give one of them.');
  if (image === STDIN && questionsFrom === STDIN)
    usage('stdin can be read once only.', 'Give the image or the questions as a file.');
  if (detection !== undefined && args.conditioning === 'prompts')
    usage('--detection holds no soft prompts.', 'Give the image, or --conditioning text or sentences.');
  checkInteger('threads', args.threads, 1);
  checkInteger('max-rounds', args.maxRounds, 1);
  if (image !== undefined || detection !== undefined) return;
  throw new KfdError('ERR_KFD_NO_INPUT', 'Nothing was given; expected an image.', {
    hint: 'kfd-native explain photo.jpg',
  });
}

async function examine(args: ExplainArguments): Promise<Examined> {
  const face = parseFace(args.face);
  const { image = '', detection, model, faceModel, trustModel, device, threshold, threads } = args;
  if (detection !== undefined) return examineFile(detection, face);
  return examineImage(image, face, {
    ...{ model, faceModel, trust: trustModel, device, threshold },
    explainer: detectorExplainer(args),
    lanes: 1,
    threadsPerLane: threads,
  });
}

async function loadExplainer(args: ExplainArguments): Promise<Explainer> {
  const { Explainer } = await import('../../explain/explainer.js');
  const { languageModel, explainer, conditioning, decoding, maxRounds, check, threads } = args;
  return Explainer.load({
    ...{ model: languageModel, explainer, conditioning, decoding, maxRounds, check, threads },
    dialogues: 1,
  });
}

/** The verdict, from the detector, before anything is said about it. */
async function printVerdict({ detection, name, face, number }: Subject, quiet: boolean): Promise<void> {
  if (!quiet) await writeResult(describeMaturity(detection.model.maturity));
  await writeResult(formatFace(name, face, number, detection.faces.length));
}

async function printVoice(explainer: Explainer, { dialogue }: Session, quiet: boolean): Promise<void> {
  // That no language model speaks is said even with --quiet.
  if (quiet && dialogue.conditioning !== 'sentences') return;
  const { check, languageModel, prompts } = explainer.info();
  const { conditioning, fallback } = dialogue;
  const voice = { conditioning, fallback, checked: check, languageModel: languageModel?.name ?? null };
  const weights = prompts === null || conditioning !== 'prompts' ? '' : ` Weights: ${prompts.maturity}.`;
  await writeResult(paint('dim', printableLines(`${describeVoice(voice)}${weights}`)));
}

function printerFor(args: ExplainArguments): AnswerPrinter | undefined {
  if (args.json || args.jsonl) return undefined;
  return process.stdout.isTTY ? new StreamedAnswers(true) : new WholeAnswers();
}

async function askAll(
  args: ExplainArguments,
  session: Session,
  questions: AsyncIterable<string>,
): Promise<void> {
  const printer = printerFor(args);
  for await (const question of questions) {
    await printer?.ask(question);
    const answer = await session.dialogue.ask(question, {
      signal: interruptSignal,
      ...(printer?.onText === undefined ? {} : { onText: printer.onText }),
    });
    if (args.jsonl) await writeJson(answer);
    else await printer?.answer(answer);
  }
}

/** kfd.explanation/1 */
async function printDocument(examined: Examined, session: Session | undefined): Promise<void> {
  const { input, model, status, faces } = examined.detection;
  await writeJson(
    {
      schema: 'kfd.explanation/1',
      ...{ input, model, status },
      faces: faces.length,
      number: examined.face === undefined ? null : examined.number,
      face: examined.face ?? null,
      conditioning: session?.dialogue.conditioning ?? null,
      fallback: session?.dialogue.fallback ?? null,
      answers: session?.dialogue.history ?? [],
    },
    true,
  );
}

/** On a terminal, where nothing was asked for that a program would read. */
function isChat({ question, questionsFrom, json, jsonl }: ExplainArguments): boolean {
  const isTerminal = process.stdin.isTTY && process.stdout.isTTY;
  return isTerminal && question === undefined && questionsFrom === undefined && !json && !jsonl;
}

async function talk(
  args: ExplainArguments,
  subject: Subject,
  questions: AsyncIterable<string>,
): Promise<void> {
  await using explainer = await loadExplainer(args);
  const { model } = subject.detection;
  await using dialogue = await explainer.open(subject.face, { detector: model, signal: interruptSignal });
  const session: Session = { subject, dialogue, report: args.report };
  const isText = !args.json && !args.jsonl;
  if (isText) await printVoice(explainer, session, args.quiet);
  if (isChat(args)) {
    const { chat } = await import('../explain/chat.js');
    await chat(session);
  } else await askAll(args, session, questions);
  if (args.json) await printDocument(subject, session);
  if (args.report === undefined) return;
  const { page } = await writeReport(session, args.report);
  writeMessage(`report: ${page}`);
}

/** yargs makes an empty text of a lone `-`. */
function restoreDash(args: ExplainArguments): ExplainArguments {
  const isDash = args.image === '' && process.argv.includes(STDIN);
  return isDash ? { ...args, image: STDIN } : args;
}

async function handler(parsed: ExplainArguments): Promise<void> {
  const args = restoreDash(parsed);
  checkArguments(args);
  const questions = await collectQuestions(args, interruptSignal);
  const examined = await examine(args);
  if (examined.face === undefined) {
    reportFailure(examined.detection);
    if (args.json) await printDocument(examined, undefined);
    process.exitCode = EXIT.someInputsFailed;
    return;
  }
  if (!args.json && !args.jsonl) await printVerdict(examined, args.quiet);
  await talk(args, examined, questions);
}

export const explainCommand = defineCommand({
  command: 'explain [image]',
  describe: 'Answer questions about a face: forged or not, where, why',
  builder: options,
  handler,
});
