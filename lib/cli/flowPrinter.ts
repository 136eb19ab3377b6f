import type { AttentionFlow } from '../daam/attentionFlow.js';
import { describeCompleteness, describeMilestones } from '../daam/summary.js';
import type { TargetFlow } from '../daam/targetFlow.js';
import type { KfdError } from '../errors.js';
import { formatTable, paint, writeJson, writeResult } from './output.js';

const percent = (part: number) => `${(100 * part).toFixed(1)} %`;
const BAR_CELLS = 24;

/** One row a block: its share of the mass, the sum so far, and how much the map already looks like the final one. */
function blockTable(target: TargetFlow): string {
  const { iou, spearman } = target.agreement();
  const largest = Math.max(...target.share, Number.MIN_VALUE);
  let reached = 0;
  const rows = target.share.map((share, block) => {
    reached += share;
    return [
      `  ${block + 1}`,
      percent(share),
      percent(reached),
      (iou[block] ?? NaN).toFixed(2),
      (spearman[block] ?? NaN).toFixed(2),
      '#'.repeat(Math.round((BAR_CELLS * share) / largest)),
    ];
  });
  return formatTable([['  block', 'share', 'so far', 'IoU', 'rank', 'share of the mass'], ...rows]);
}

function targetLines(target: TargetFlow, detailed: boolean): string[] {
  const lines = [
    `  ${paint('bold', target.name)} = ${target.y.toPrecision(5)}  (${target.description})`,
    `  ${describeMilestones(target)}`,
    `  ${describeCompleteness(target)}`,
  ];
  if (!detailed) return lines;
  const identity = `  relevance against <C, T>: off by ${target.identityError.toExponential(1)} of the largest value`;
  return [...lines, identity, blockTable(target)];
}

const FILES_SHOWN = 3;

function listFiles(files: readonly string[]): string {
  const more = files.length - FILES_SHOWN;
  return files.slice(0, FILES_SHOWN).join(', ') + (more > 0 ? ` and ${more} more` : '');
}

/** What is printed as flows come; `files` are those that were written. */
export interface FlowPrinter {
  /** @param detailed a table of the blocks too; for people only */
  print(name: string, flow: AttentionFlow, files: readonly string[], detailed: boolean): Promise<void>;
  fail(name: string, error: KfdError): Promise<void>;
  end(): Promise<void>;
}

class TextPrinter implements FlowPrinter {
  private notes: readonly string[] = [];

  async print(name: string, flow: AttentionFlow, files: readonly string[], detailed: boolean): Promise<void> {
    const { verdict } = flow.frame;
    const score =
      verdict === undefined ? '' : `  ${verdict.verdict}, forgery score ${verdict.score.toFixed(3)}`;
    await writeResult(`${paint('bold', name)}${score}`);
    for (const target of flow.targets)
      for (const line of targetLines(target, detailed)) await writeResult(line);
    if (files.length > 0) await writeResult(`  written: ${listFiles(files)}`);
    this.notes = flow.frame.notes;
  }

  async fail(): Promise<void> {
    // the line on stderr says it
  }

  async end(): Promise<void> {
    for (const note of this.notes) await writeResult(`note: ${note}`);
  }
}

/** One document for one, an array for several; which it is shows with the second. */
class JsonPrinter implements FlowPrinter {
  private held: unknown;
  private count = 0;

  private async add(value: unknown): Promise<void> {
    if (this.count > 0) await writeResult(`${this.count === 1 ? '[\n' : ''}${JSON.stringify(this.held)},`);
    this.held = value;
    this.count += 1;
  }

  print(_name: string, flow: AttentionFlow): Promise<void> {
    return this.add(flow);
  }

  fail(name: string, error: KfdError): Promise<void> {
    return this.add({ schema: 'kfd.error/1', input: { path: name }, error: error.toJSON() });
  }

  async end(): Promise<void> {
    if (this.count === 1) await writeJson(this.held);
    else if (this.count > 1) await writeResult(`${JSON.stringify(this.held)}\n]`);
  }
}

export function createFlowPrinter(json: boolean): FlowPrinter {
  return json ? new JsonPrinter() : new TextPrinter();
}
