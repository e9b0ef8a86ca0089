/**
 * Policy files on disk → a generation, or all problems with them. The work is done in a short-lived worker thread with
 * a deadline, so that no file, however hostile or slow, blocks the event loop.
 */
import { Worker } from 'node:worker_threads';
import { type Problem, VirtsladError } from '../errors.js';
import type { CompileResult } from './compile.js';

export type LoadResult = CompileResult;

export interface LoadOptions {
  /** The user who may own policy files beside root; the running one unless told otherwise. */
  readonly uid?: number;
  /** For reading and compiling, the start of the worker not counted. */
  readonly deadlineMs?: number;
}

/** What the worker is to do. */
export type LoadJob =
  | { readonly directory: string; readonly uid: number }
  | { readonly paths: readonly string[]; readonly uid: number };

const DEADLINE_MS = 2_000;
/** Loading the worker's code; long only on a host that is short of everything. */
const START_DEADLINE_MS = 20_000;
/** Parsing 256 KiB of anything takes far less. */
const HEAP_MIB_MAX = 256;

/** The policy directory of the daemon: all its `*.yaml` in lexical order. Never rejects for what is on disk. */
export function loadPolicyDirectory(directory: string, options: LoadOptions = {}): Promise<LoadResult> {
  return runWorker({ directory, uid: uidOf(options) }, directory, options.deadlineMs ?? DEADLINE_MS);
}

/** Files and directories as one set, for `check PATH…`. */
export function loadPolicyPaths(paths: readonly string[], options: LoadOptions = {}): Promise<LoadResult> {
  return runWorker({ paths, uid: uidOf(options) }, paths[0] ?? '.', options.deadlineMs ?? DEADLINE_MS);
}

function uidOf(options: LoadOptions): number {
  return options.uid ?? process.geteuid?.() ?? 0;
}

function runWorker(job: LoadJob, where: string, deadlineMs: number): Promise<LoadResult> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./loader-worker.js', import.meta.url), {
      workerData: job,
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB_MAX },
    });
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      worker.removeAllListeners();
      // A late error of a worker that is being ended is of no interest, and must not be unhandled.
      worker.on('error', () => {});
      void worker.terminate();
      act();
    };
    const giveUp = (message: string) => () =>
      settle(() => resolve({ ok: false, problems: [tooCostly(message, where)] }));
    let timer = setTimeout(giveUp('the thread that reads the policy did not start'), START_DEADLINE_MS);
    worker.on('message', (message: 'ready' | LoadResult) => {
      if (message !== 'ready') return settle(() => resolve(message));
      clearTimeout(timer);
      timer = setTimeout(giveUp(`reading the policy took longer than ${deadlineMs / 1000} s`), deadlineMs);
    });
    worker.on('error', (error) => {
      if ((error as NodeJS.ErrnoException).code === 'ERR_WORKER_OUT_OF_MEMORY') {
        giveUp(`reading the policy took more than ${HEAP_MIB_MAX} MiB of memory`)();
      } else {
        settle(() => reject(internal(error, where)));
      }
    });
    worker.on('exit', () => settle(() => reject(internal(undefined, where))));
  });
}

function tooCostly(message: string, where: string): Problem {
  const fix = 'make the files smaller and plainer; if they are small, look at the load of the host';
  return { code: 'POLICY_TIMEOUT', message, where, fix };
}

function internal(cause: unknown, where: string): VirtsladError {
  const reason = cause instanceof Error ? cause.message : 'it ended without an answer';
  const message = `the thread that reads the policy failed: ${reason}`;
  const fix = 'report it with this line; the last good policy stays in force';
  return new VirtsladError({ code: 'INTERNAL', message, where, fix }, { cause });
}
