/** A worker thread running call-worker.ts, as the pool wants it. */
import { Worker } from 'node:worker_threads';
import type { CallThread } from './call-pool.js';
import type { CallReply, CallRequest, CallWorkerData } from './protocol.js';

/** Enough for the XML of one guest and a list of thousands. */
const HEAP_MIB_MAX = 96;

export function startCallThread(data: CallWorkerData, name: string): CallThread {
  const worker = new Worker(new URL('./call-worker.js', import.meta.url), {
    name,
    workerData: data,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB_MAX },
  });
  let stopping = false;
  let problem = 'it ended by itself';
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  worker.on('error', (error) => {
    problem = error.message;
  });
  return {
    post: (call) => worker.postMessage({ call } satisfies CallRequest),
    onReply: (listener) => void worker.on('message', (reply: CallReply) => listener(reply)),
    onEnd: (listener) =>
      void ended.then(() => {
        if (!stopping) listener(problem);
      }),
    stop: () => {
      stopping = true;
      worker.postMessage({ stop: true } satisfies CallRequest);
      return ended;
    },
    unref: () => worker.unref(),
  };
}
