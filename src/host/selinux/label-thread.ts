/** The thread that makes calls on files for file-labels.ts, and what passes between the two. */
import { Worker } from 'node:worker_threads';
import type { RelabelOutcome, RelabelRequest } from './relabel-image.js';
import type { LabelReading } from './xattr.js';

export type LabelCall =
  | { readonly op: 'labels'; readonly paths: readonly string[] }
  | { readonly op: 'relabel'; readonly request: RelabelRequest };

/** Readings in the order of the paths; fewer when it was called off. */
export type LabelReply =
  | { readonly op: 'labels'; readonly readings: readonly LabelReading[] }
  | { readonly op: 'relabel'; readonly outcome: RelabelOutcome };

export type LabelRequest = { readonly call: LabelCall } | { readonly stop: true };

export interface LabelThreadData {
  /** Int32 cells, see CELL. */
  readonly cells: SharedArrayBuffer;
}

/** Shared with the thread, which in a hung call neither gets nor sends a message. */
export const CELL = {
  /** Index of the path under way, of all that it was ever given plus one: 0 before the first. */
  begun: 0,
  /** 1: nobody waits for the call under way any more. */
  calledOff: 1,
  cells: 2,
} as const;

export interface LabelThread {
  post(call: LabelCall): void;
  onReply(listener: (reply: LabelReply) => void): void;
  /** It ended without being told to. */
  onEnd(listener: (reason: string) => void): void;
  /** How many paths it has ever begun with: the last of them is under way, or done. */
  begun(): number;
  /** Whatever it does now is to have no effect and no successor. */
  callOff(): void;
  /** Asks an idle thread to end. Resolves when it has. */
  stop(): Promise<void>;
  /** Lets the process end without it. */
  unref(): void;
}

const LIMITS = { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 2 } as const;

export function startLabelThread(): LabelThread {
  const cells = new Int32Array(new SharedArrayBuffer(CELL.cells * 4));
  const worker = new Worker(new URL('./file-labels-worker.js', import.meta.url), {
    name: 'file-labels',
    workerData: { cells: cells.buffer } satisfies LabelThreadData,
    resourceLimits: LIMITS,
  });
  let stopping = false;
  let problem = 'it ended by itself';
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  worker.on('error', (error) => {
    problem = error.message;
  });
  return {
    post: (call) => worker.postMessage({ call } satisfies LabelRequest),
    onReply: (listener) => void worker.on('message', (reply: LabelReply) => listener(reply)),
    onEnd: (listener) =>
      void ended.then(() => {
        if (!stopping) listener(problem);
      }),
    begun: () => Atomics.load(cells, CELL.begun),
    callOff: () => void Atomics.store(cells, CELL.calledOff, 1),
    stop: () => {
      stopping = true;
      worker.postMessage({ stop: true } satisfies LabelRequest);
      return ended;
    },
    unref: () => worker.unref(),
  };
}
