import type { FlowDocument, FlowMaps } from '../../daam/flowDocument.js';
import type { FlowColors } from '../flowColors.js';
import { scalesOf, type FlowScale, type FlowView } from '../flowScale.js';

export interface Cell {
  row: number;
  column: number;
}

/** All that the reader can change. Everything on the page follows from it and from the document. */
export interface ViewState {
  /** Which target. */
  flow: number;
  /** From 0. */
  block: number;
  view: FlowView;
  scale: FlowScale;
  /** One attention head, from 0; null: all. Only view `block` has maps by head. */
  head: number | null;
  /** For the non-negative views; signed maps always use the diverging table. */
  colors: Exclude<FlowColors, 'diverging'>;
  /** 0..1, of the whole overlay. */
  opacity: number;
  fade: boolean;
  smooth: boolean;
  /** The cell under the pointer or the cell cursor. */
  cell: Cell | null;
  playing: boolean;
}

type Listener = (state: Readonly<ViewState>, changed: (...keys: (keyof ViewState)[]) => boolean) => void;

/** Holds the state and tells the parts of the page what changed. */
export class Store {
  readonly document: FlowDocument;
  private current: ViewState;
  private readonly listeners: Listener[] = [];

  constructor(document: FlowDocument) {
    this.document = document;
    this.current = {
      flow: 0,
      block: document.blocks - 1,
      view: 'accumulated',
      scale: 'common',
      head: null,
      colors: 'inferno',
      opacity: 0.75,
      fade: true,
      smooth: false,
      cell: null,
      playing: false,
    };
  }

  get state(): Readonly<ViewState> {
    return this.current;
  }

  get flow(): FlowMaps {
    const flow = this.document.flows[this.current.flow];
    if (flow === undefined) throw new Error(`no flow ${this.current.flow}`);
    return flow;
  }

  /** The colour table in use. */
  get colors(): FlowColors {
    return this.current.view === 'signed' ? 'diverging' : this.current.colors;
  }

  /** Calls `listener` now, with everything changed, and after each change. */
  subscribe(listener: Listener): void {
    this.listeners.push(listener);
    listener(this.current, () => true);
  }

  update(changes: Partial<ViewState>): void {
    const before = this.current;
    const next = { ...before, ...changes };
    next.block = Math.min(this.document.blocks - 1, Math.max(0, next.block));
    if (next.view !== 'block' || this.document.flows[next.flow]?.heads === undefined) next.head = null;
    if (!scalesOf(next.view).includes(next.scale)) next.scale = 'common';
    this.current = next;
    const changed = (...keys: (keyof ViewState)[]) => keys.some((key) => before[key] !== next[key]);
    for (const listener of this.listeners) listener(next, changed);
  }
}
