/**
 * What the host does with weights on one whole disk: BFQ keeps them where it is the disk's scheduler, the io cost
 * controller where it was switched on for the disk; elsewhere a weight is written and nothing follows from it.
 * Sources: Documentation/ABI/stable/sysfs-block, cgroup-v2.rst (io.cost.qos, root group only), bfq-iosched.rst.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Files } from './bounded-files.js';

export interface DiskQueue {
  /** `bfq`, `mq-deadline`, `none`; null when the disk has no choice of schedulers, or it cannot be told now. */
  readonly scheduler: string | null;
  readonly rotational: boolean | null;
  readonly ioCost: boolean;
  /** Who keeps weights on this disk; null when nobody does. */
  readonly weightsKeptBy: 'bfq' | 'iocost' | null;
}

export interface DiskQueueOptions {
  /** The kernel holds these files back while a queue stands still, so the look is bounded. */
  readonly files: Files;
  readonly sysRoot?: string;
  /** From {@link readIoCostDevices}. */
  readonly ioCostDevices: ReadonlySet<string>;
}

/** `device`: a whole disk's number. */
export async function readDiskQueue(device: string, options: DiskQueueOptions): Promise<DiskQueue> {
  const { files, sysRoot = '/sys', ioCostDevices } = options;
  const queue = join(sysRoot, 'dev', 'block', device, 'queue');
  const schedulers = await files.readText(join(queue, 'scheduler'));
  const rotational = await files.readText(join(queue, 'rotational'));
  const scheduler = schedulers.ok ? parseScheduler(schedulers.value) : null;
  const ioCost = ioCostDevices.has(device);
  return {
    scheduler,
    rotational: rotational.ok ? ({ '0': false, '1': true }[rotational.value.trim()] ?? null) : null,
    ioCost,
    weightsKeptBy: scheduler === 'bfq' ? 'bfq' : ioCost ? 'iocost' : null,
  };
}

/** `none [mq-deadline] kyber bfq`: the one in brackets; `none` alone where there is no other. */
export function parseScheduler(text: string): string | null {
  const chosen = /\[([^\]\s]+)\]/.exec(text)?.[1];
  if (chosen !== undefined) return chosen;
  return text.trim() === 'none' ? 'none' : null;
}

/** Numbers of the disks with the io cost controller on. `cgroupRoot`: the v2 root; empty where there is no such file. */
export function readIoCostDevices(cgroupRoot: string): ReadonlySet<string> {
  try {
    return parseIoCostDevices(readFileSync(join(cgroupRoot, 'io.cost.qos'), 'latin1'));
  } catch {
    return new Set();
  }
}

/** Lines such as `254:0 enable=1 ctrl=auto rpct=0.00 rlat=…`; a disk that nobody configured has none. */
export function parseIoCostDevices(text: string): ReadonlySet<string> {
  const devices = text.split('\n').flatMap((line) => {
    const [device = '', ...settings] = line.trim().split(/\s+/);
    return settings.includes('enable=1') ? [device] : [];
  });
  return new Set(devices);
}
