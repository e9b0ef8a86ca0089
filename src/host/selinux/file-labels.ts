/**
 * Security labels of files on file systems that may hang, each read with a deadline in a thread that can be given up.
 * Nothing is opened. A path that is not answered in time costs its thread, of which at most `maxAbandoned` are replaced;
 * the other paths go on in the next one. Node's own four threads for files are not used: what hangs here holds up
 * nothing else.
 */
import { readFileSync } from 'node:fs';
import { MountTable } from '../block/mount-table.js';
import { type HungCall, HungCalls } from './hung-calls.js';
import { type LabelCall, type LabelThread, startLabelThread } from './label-thread.js';
import type { FileLabelReader, FileLabelStatus, ImageRelabeler } from './ports.js';
import type { RelabelOutcome, RelabelRequest } from './relabel-image.js';
import { type CallEnd, TimedThread } from './timed-thread.js';
import type { LabelProblem, LabelReading } from './xattr.js';

/** Label null and problem null: the file wears none. */
export interface FileLabel {
  readonly path: string;
  readonly label: string | null;
  readonly problem: FileLabelProblem | null;
}

/**
 * `timeout`: not answered in time, or not asked because of what was not. `unsupported`: the file system keeps no labels.
 * `unreadable`: any other error, and what is no absolute path.
 */
export type FileLabelProblem = LabelProblem | 'timeout';

export interface FileLabelsOptions {
  /** For each path; it may be exceeded by a quarter. */
  readonly deadlineMs?: number;
  /** Threads that may be stuck and replaced at one time. */
  readonly maxAbandoned?: number;
  readonly procRoot?: string;
  /** Monotonic, ms. */
  readonly now?: () => number;
  readonly startThread?: () => LabelThread;
}

const TOO_LATE = { label: null, problem: 'timeout' } as const;
const UNREADABLE = { label: null, problem: 'unreadable' } as const;

/** A thread, and what it hangs in once it has overrun. */
interface Worker {
  readonly thread: TimedThread;
  hung: HungCall | null;
}

export class FileLabels implements FileLabelReader, ImageRelabeler {
  readonly #deadlineMs: number;
  readonly #startThread: () => LabelThread;
  readonly #hung: HungCalls;
  #worker: Worker | null = null;
  #turn: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(options: FileLabelsOptions = {}) {
    this.#deadlineMs = options.deadlineMs ?? 2000;
    this.#startThread = options.startThread ?? startLabelThread;
    this.#hung = new HungCalls({
      maxAbandoned: options.maxAbandoned ?? 4,
      mounts: () => readMounts(options.procRoot ?? '/proc'),
      now: options.now ?? (() => performance.now()),
    });
  }

  read(paths: readonly string[]): Promise<readonly FileLabel[]> {
    return this.#inTurn(() => this.#read(paths));
  }

  /** Of a `timeout` it is not known whether the label was set before its thread was called off. */
  relabel(request: RelabelRequest): Promise<RelabelOutcome> {
    return this.#inTurn(() => this.#relabel(request));
  }

  status(): FileLabelStatus {
    return { abandoned: this.#hung.count, hung: this.#hung.paths };
  }

  /** Waits for no file: what is still asked is answered `timeout`. */
  async close(): Promise<void> {
    this.#closed = true;
    const worker = this.#worker;
    this.#worker = null;
    await worker?.thread.stop();
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  async #read(paths: readonly string[]): Promise<readonly FileLabel[]> {
    const readings = await this.#readings([...new Set(paths)]);
    return paths.map((path) => ({ path, ...(readings.get(path) ?? TOO_LATE) }));
  }

  /** Without those that are not answered in time. */
  async #readings(paths: readonly string[]): Promise<ReadonlyMap<string, LabelReading>> {
    let asked = paths;
    for (;;) {
      const mayAsk = this.#hung.mayAsk();
      asked = asked.filter((path) => mayAsk(path));
      if (asked.length === 0) return new Map();
      const end = await this.#make({ op: 'labels', paths: asked }, asked);
      // What a thread had read before it hung is lost with it, and is read again.
      if (end === 'again') continue;
      if (end === 'timeout') return new Map();
      const readings = end.kind === 'reply' && end.reply.op === 'labels' ? end.reply.readings : [];
      return new Map(asked.map((path, index) => [path, readings[index] ?? UNREADABLE]));
    }
  }

  async #relabel(request: RelabelRequest): Promise<RelabelOutcome> {
    const { path } = request;
    if (!this.#hung.mayAsk()(path)) return failed('timeout', 'not tried: its file system does not answer');
    const end = await this.#make({ op: 'relabel', request }, [path]);
    if (typeof end === 'string') return failed('timeout', 'its file system has not answered in time');
    if (end.kind === 'ended') return failed('failed', `the thread ended: ${end.reason}`);
    return end.reply.op === 'relabel' ? end.reply.outcome : failed('failed', 'the thread answered another question');
  }

  /** `again`: one of these paths hangs and has been put aside. `timeout`: no thread can be had. */
  async #make(call: LabelCall, paths: readonly string[]): Promise<Exclude<CallEnd, { kind: 'overran' }> | Stuck> {
    if (this.#closed || (this.#worker === null && !this.#hung.mayStartThread)) return 'timeout';
    let worker: Worker;
    try {
      worker = this.#worker ??= this.#start();
    } catch (error) {
      return { kind: 'ended', reason: error instanceof Error ? error.message : String(error) };
    }
    const end = await worker.thread.call(call);
    if (end.kind === 'reply') return end;
    if (this.#worker === worker) this.#worker = null;
    if (this.#closed) return 'timeout';
    if (end.kind === 'ended') return end;
    const path = end.at === null ? null : (paths[end.at] ?? null);
    worker.hung = this.#hung.add(path);
    return path === null ? 'timeout' : 'again';
  }

  #start(): Worker {
    const worker: Worker = {
      hung: null,
      thread: new TimedThread(this.#startThread(), this.#deadlineMs, () => {
        if (worker.hung !== null) this.#hung.delete(worker.hung);
        if (this.#worker === worker) this.#worker = null;
      }),
    };
    return worker;
  }
}

type Stuck = 'again' | 'timeout';

function failed(code: 'timeout' | 'failed', reason: string): RelabelOutcome {
  return { ok: false, code, reason };
}

function readMounts(procRoot: string): MountTable | null {
  try {
    return new MountTable(readFileSync(`${procRoot}/self/mountinfo`, 'utf8'));
  } catch {
    return null;
  }
}
