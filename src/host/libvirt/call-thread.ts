/** A worker thread running call-worker.ts, as the pool wants it. */
import { Worker } from 'node:worker_threads';
import type { CallThread } from './call-pool.js';
import { type CallReply, type CallRequest, type CallWorkerData, WORKER_LIMITS } from './protocol.js';

export function startCallThread(data: CallWorkerData, name: string): CallThread {
  const worker = new Worker(new URL('./call-worker.js', import.meta.url), {
    name,
    workerData: data,
    resourceLimits: WORKER_LIMITS,
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
