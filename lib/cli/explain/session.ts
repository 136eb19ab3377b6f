import path from 'node:path';
import type { Dialogue } from '../../explain/dialogue.js';
import type { Detection, FaceDetection } from '../../kfd/detection.js';
import { describeMeasurements } from '../../kfd/measurements.js';
import type { Answer } from '../../explain/answerDocument.js';

/** The face that is talked about, and the detection that it comes from. */
export interface Subject {
  detection: Detection;
  /** What the input is called. */
  name: string;
  face: FaceDetection;
  /** The face's place in `detection.faces`, from 1. */
  number: number;
  /** Measured with the detector; undefined for a detection read from a file. */
  metrics: Readonly<Record<string, unknown>> | undefined;
}

/** One dialogue of the command line. */
export interface Session {
  subject: Subject;
  dialogue: Dialogue;
  /** Folder of the report, if one is wanted. */
  report: string | undefined;
}

/** The report page with what was asked so far; an earlier state of it is replaced. */
export async function writeReport(
  { subject, dialogue }: Session,
  folder: string,
): Promise<{
  page: string;
  /** The map over the crop; undefined for a detection read from a file. */
  map: string | undefined;
}> {
  const { ReportWriter } = await import('../../report/reportWriter.js');
  const { detection, name, number, metrics } = subject;
  const notes = metrics === undefined ? [] : describeMeasurements(metrics);
  const report = await ReportWriter.create(folder, { notes });
  try {
    const dialogues: (readonly Answer[])[] = detection.faces.map(() => []);
    dialogues[number - 1] = dialogue.history;
    await report.add(detection, { name, dialogues });
    const page = await report.finish();
    const map = report.files.find((file) => file.endsWith(`-face${number}-map.png`));
    return { page, map: map === undefined ? undefined : path.join(path.dirname(page), map) };
  } catch (error) {
    await report.discard();
    throw error;
  }
}
