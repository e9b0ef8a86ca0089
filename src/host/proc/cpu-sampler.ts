/**
 * Reads one guest's CPU counters through kept descriptors: run time and run-queue wait of each vCPU thread
 * (/proc/PID/task/TID/schedstat) and throttled time of its group (cpu.stat).
 * Sources: Documentation/scheduler/sched-stats.rst, cgroup-v2.rst (cpu.stat).
 */
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import type { CpuReading, VcpuReading } from '../../signals/cpu.js';
import { throttledUsec } from '../cgroup/cpu-files.js';
import { type Group, readText } from '../cgroup/group.js';
import { type ProcessStat, readProcessStat } from './process.js';

/** Where a vCPU's counters are: its thread, by number or as the first of its group, and the group that throttles it. */
export interface VcpuSource {
  readonly threadId: number | null;
  readonly group: Group | null;
}

interface Thread {
  readonly threadId: number;
  readonly fd: number;
}

export class CpuSampler {
  readonly #procRoot: string;
  readonly #threads = new Map<number, Thread>();
  #pid = 0;

  constructor(procRoot: string) {
    this.#procRoot = procRoot;
  }

  /** Null when the process is gone, or cannot be read now. */
  read(
    pid: number,
    sources: ReadonlyMap<number, VcpuSource>,
    version: 1 | 2,
    atMonotonicMs: number,
  ): CpuReading | null {
    if (pid !== this.#pid) this.close();
    this.#pid = pid;
    let process: ProcessStat | null;
    try {
      process = readProcessStat(this.#procRoot, pid);
    } catch {
      return null;
    }
    if (process === null) return null;
    const vcpus = new Map<number, VcpuReading>();
    for (const [vcpu, source] of sources) {
      const reading = this.#readVcpu(vcpu, source, version);
      if (reading !== null) vcpus.set(vcpu, reading);
    }
    for (const vcpu of [...this.#threads.keys()]) if (!vcpus.has(vcpu)) this.#close(vcpu);
    return { atMonotonicMs, vcpus, processSeconds: process.cpuSeconds };
  }

  close(): void {
    for (const vcpu of [...this.#threads.keys()]) this.#close(vcpu);
  }

  #readVcpu(vcpu: number, source: VcpuSource, version: 1 | 2): VcpuReading | null {
    const thread = this.#threads.get(vcpu) ?? this.#open(vcpu, source, version);
    if (thread === null) return null;
    try {
      const [ran = '0', waited = '0'] = readText(thread.fd).split(' ');
      return {
        threadId: thread.threadId,
        ranNs: BigInt(ran),
        waitedNs: BigInt(waited),
        throttledUsec: throttledUsec(source.group?.read('cpu.stat') ?? null),
      };
    } catch {
      this.#close(vcpu);
      return null;
    }
  }

  #open(vcpu: number, source: VcpuSource, version: 1 | 2): Thread | null {
    const inGroup = version === 1 ? 'tasks' : 'cgroup.threads';
    const threadId = source.threadId ?? Number(source.group?.readOnce(inGroup)?.split('\n')[0]);
    if (!Number.isSafeInteger(threadId) || threadId <= 0) return null;
    try {
      const path = join(this.#procRoot, String(this.#pid), 'task', String(threadId), 'schedstat');
      const thread = { threadId, fd: openSync(path, 'r') };
      this.#threads.set(vcpu, thread);
      return thread;
    } catch {
      return null;
    }
  }

  #close(vcpu: number): void {
    const thread = this.#threads.get(vcpu);
    if (thread === undefined) return;
    this.#threads.delete(vcpu);
    closeSync(thread.fd);
  }
}
