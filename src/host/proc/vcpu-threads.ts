/**
 * Which threads of a QEMU process are its vCPUs, by the names that QEMU gives them with `-name …,debug-threads=on`:
 * `CPU 0/KVM`, `CPU 0/TCG`; one thread `ALL CPUs/TCG` runs all vCPUs with `-accel tcg,thread=single`. A thread's name is
 * read when the thread is new.
 * Source: QEMU's softmmu/cpus.c, accel/; /proc/PID/task/TID/comm in proc(5), at most 15 characters.
 */
import { readdirSync } from 'node:fs';
import { failure, readSmallFile } from './read-small.js';

export interface VcpuThreads {
  /** vCPU number → thread id; empty when QEMU does not name its threads. */
  readonly byVcpu: ReadonlyMap<number, number>;
  /** The one thread that runs all vCPUs in turn; null when there is none. */
  readonly shared: number | null;
}

export const NO_VCPU_THREADS: VcpuThreads = { byVcpu: new Map(), shared: null };

interface Thread {
  readonly role: number | 'shared' | null;
  /** A thread wears its parent's name until it has set its own, so the first look is not believed. */
  readonly looks: number;
}

const LOOKS_MAX = 3;
/** While their number stays, the threads are listed anew at every n-th look: one may have come as another went. */
const LIST_EVERY = 12;

/** The threads of one process, followed from look to look. */
export class VcpuThreadReader {
  readonly #directory: string;
  #threads = new Map<string, Thread>();
  #answer = NO_VCPU_THREADS;
  #looks = 0;
  #settled = false;

  constructor(procRoot: string, pid: number) {
    this.#directory = `${procRoot}/${pid}/task`;
  }

  /**
   * `threadCount`: how many threads the process has now. Gives the same object as long as nothing changed. What cannot be
   * read now stays as it was; of a process that is gone, nothing is left.
   */
  read(threadCount: number): VcpuThreads {
    this.#looks += 1;
    if (threadCount === this.#threads.size && this.#settled && this.#looks % LIST_EVERY !== 0) {
      return this.#answer;
    }
    let threadIds: string[];
    try {
      threadIds = readdirSync(this.#directory);
    } catch (error) {
      if (failure(error).kind === 'gone') this.#answer = NO_VCPU_THREADS;
      return this.#answer;
    }
    const next = new Map<string, Thread>();
    let changed = threadIds.length !== this.#threads.size;
    for (const id of threadIds) {
      const before = this.#threads.get(id);
      const thread =
        before === undefined || (before.role === null && before.looks < LOOKS_MAX) ? this.#look(id, before) : before;
      next.set(id, thread);
      changed ||= thread.role !== before?.role;
    }
    this.#threads = next;
    this.#settled = [...next.values()].every(({ role, looks }) => role !== null || looks >= LOOKS_MAX);
    if (changed) this.#answer = answerOf(next, this.#answer);
    return this.#answer;
  }

  #look(id: string, before: Thread | undefined): Thread {
    const looks = (before?.looks ?? 0) + 1;
    const file = readSmallFile(`${this.#directory}/${id}/comm`);
    return file.kind === 'text' ? { role: roleOf(file.text), looks } : { role: null, looks: looks - 1 };
  }
}

function roleOf(name: string): number | 'shared' | null {
  if (name.startsWith('ALL CPUs/')) return 'shared';
  const digits = /^CPU (\d{1,5})\//.exec(name)?.[1];
  return digits === undefined ? null : Number(digits);
}

function answerOf(threads: ReadonlyMap<string, Thread>, before: VcpuThreads): VcpuThreads {
  const byVcpu = new Map<number, number>();
  let shared: number | null = null;
  for (const [id, { role }] of threads) {
    if (role === 'shared') shared = Number(id);
    else if (role !== null) byVcpu.set(role, Number(id));
  }
  const same = shared === before.shared && [...byVcpu].join() === [...before.byVcpu].join();
  return same ? before : { byVcpu, shared };
}
