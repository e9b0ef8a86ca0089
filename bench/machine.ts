/** What a figure depends on and whoever reads it has to know. No names of hosts, users or directories. */
import { cpus, release, totalmem } from 'node:os';
import { openLimit } from './cpu.js';

export interface MachineFacts {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGib: number;
  readonly kernel: string;
  readonly node: string;
  readonly openFiles: number;
}

export function machineFacts(): MachineFacts {
  const all = cpus();
  return {
    cpu: all[0]?.model.trim() ?? 'unknown CPU',
    cores: all.length,
    memoryGib: Math.round(totalmem() / 1024 ** 3),
    kernel: release(),
    node: process.versions.node,
    openFiles: openLimit(),
  };
}
