/** The thread that speaks to systemd, as properties.ts wants it, and what passes between the two. */
import { Worker } from 'node:worker_threads';
import type { SystemdReading, UnitProperty, UnitPropertyValue } from './properties.js';

export type BusCall =
  | { readonly op: 'set'; readonly unit: string; readonly properties: readonly UnitPropertyValue[] }
  | { readonly op: 'get'; readonly unit: string; readonly names: readonly UnitProperty[] };

/** Of a `set` no values. */
export type BusOutcome = SystemdReading;

export type BusRequest = { readonly call: BusCall } | { readonly stop: true };

export interface BusThreadData {
  /** D-Bus address; null: that of the system bus. */
  readonly address: string | null;
  /** For each message on the bus. */
  readonly timeoutMs: number;
}

export interface BusThread {
  post(call: BusCall): void;
  onReply(listener: (outcome: BusOutcome) => void): void;
  /** It ended without being told to. */
  onEnd(listener: (reason: string) => void): void;
  /** Closes the connection. Resolves when the thread has ended. */
  stop(): Promise<void>;
  /** Lets the process end without it. */
  unref(): void;
}

const LIMITS = { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 1 } as const;

export function startBusThread(data: BusThreadData): BusThread {
  const worker = new Worker(new URL('./properties-worker.js', import.meta.url), {
    name: 'systemd',
    workerData: data,
    resourceLimits: LIMITS,
  });
  let stopping = false;
  let problem = 'it ended by itself';
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  worker.on('error', (error) => {
    problem = error.message;
  });
  return {
    post: (call) => worker.postMessage({ call } satisfies BusRequest),
    onReply: (listener) => void worker.on('message', (outcome: BusOutcome) => listener(outcome)),
    onEnd: (listener) =>
      void ended.then(() => {
        if (!stopping) listener(problem);
      }),
    stop: () => {
      stopping = true;
      worker.postMessage({ stop: true } satisfies BusRequest);
      return ended;
    },
    unref: () => worker.unref(),
  };
}
