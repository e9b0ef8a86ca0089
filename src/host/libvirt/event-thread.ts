/**
 * The event worker as the main thread sees it: takes a URI, gives its messages to a listener; started again should it
 * ever end by itself.
 */
import { Worker } from 'node:worker_threads';
import { type CallWorkerData, type EventMessage, type EventWorkerData, FLAG, WORKER_LIMITS } from './protocol.js';

/** After a crash of the thread, which is a defect: not to make it a busy loop. */
const RESTART_MS = 5000;

export interface EventThread {
  /** Resolves when the thread has ended; it may be stuck connecting, so the caller bounds the wait. */
  stop(): Promise<void>;
  /** Lets the process end without it. */
  unref(): void;
}

/** libvirt's event loop is global to the process, and its callbacks must run on the thread that registered them. */
let running = false;

/** @throws Error when another event thread of this process has not ended yet */
export function startEventThread(data: CallWorkerData, listener: (message: EventMessage) => void): EventThread {
  const flags = new SharedArrayBuffer(FLAG.cells * Int32Array.BYTES_PER_ELEMENT);
  const flag = new Int32Array(flags);
  let worker: Worker;
  let ended: Promise<void>;
  let restart: NodeJS.Timeout | null = null;
  let stopping = false;
  if (running) throw new Error('one libvirt client at a time in one process');
  running = true;
  start();

  function start(): void {
    restart = null;
    worker = new Worker(new URL('./event-worker.js', import.meta.url), {
      name: 'libvirt-events',
      workerData: { ...data, flags } satisfies EventWorkerData,
      resourceLimits: WORKER_LIMITS,
    });
    let problem = 'the event worker ended by itself';
    worker.on('message', listener);
    worker.on('error', (error) => {
      problem = error.message;
    });
    ended = new Promise((resolve) => worker.once('exit', () => resolve()));
    void ended.then(() => {
      if (stopping) {
        running = false;
        return;
      }
      listener({ kind: 'disconnected', reason: `libvirt event worker: ${problem}`, retryInMs: RESTART_MS });
      restart = setTimeout(start, RESTART_MS);
    });
  }

  return {
    stop() {
      stopping = true;
      if (restart !== null) {
        clearTimeout(restart);
        running = false;
      }
      Atomics.store(flag, FLAG.stop, 1);
      Atomics.notify(flag, FLAG.stop);
      return ended;
    },
    unref: () => worker.unref(),
  };
}
