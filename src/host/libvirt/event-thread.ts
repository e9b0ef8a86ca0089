/**
 * The event worker as the main thread sees it: takes a URI, gives its messages to a listener; started again should it
 * ever end by itself.
 */
import { Worker } from 'node:worker_threads';
import { type EventMessage, type EventWorkerData, FLAG } from './protocol.js';

/** After a crash of the thread, which is a defect: not to make it a busy loop. */
const RESTART_MS = 5000;
const HEAP_MIB_MAX = 64;

export interface EventThread {
  /** Resolves when the thread has ended; it may be stuck connecting, so the caller bounds the wait. */
  stop(): Promise<void>;
  /** Lets the process end without it. */
  unref(): void;
}

export function startEventThread(uri: string, listener: (message: EventMessage) => void): EventThread {
  const flags = new SharedArrayBuffer(FLAG.cells * Int32Array.BYTES_PER_ELEMENT);
  const flag = new Int32Array(flags);
  let worker: Worker;
  let ended: Promise<void>;
  let restart: NodeJS.Timeout | null = null;
  let stopping = false;
  start();

  function start(): void {
    restart = null;
    worker = new Worker(new URL('./event-worker.js', import.meta.url), {
      name: 'libvirt-events',
      workerData: { uri, flags } satisfies EventWorkerData,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB_MAX },
    });
    let problem = 'the event worker ended by itself';
    worker.on('message', listener);
    worker.on('error', (error) => {
      problem = error.message;
    });
    ended = new Promise((resolve) => worker.once('exit', () => resolve()));
    void ended.then(() => {
      if (stopping) return;
      listener({ kind: 'disconnected', reason: `libvirt event worker: ${problem}`, retryInMs: RESTART_MS });
      restart = setTimeout(start, RESTART_MS);
    });
  }

  return {
    stop() {
      stopping = true;
      if (restart !== null) clearTimeout(restart);
      Atomics.store(flag, FLAG.stop, 1);
      Atomics.notify(flag, FLAG.stop);
      return ended;
    },
    unref: () => worker.unref(),
  };
}
