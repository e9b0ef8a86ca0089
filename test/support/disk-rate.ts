/**
 * What a guest's virtual disk does, counted by QEMU and read with virsh. QEMU counts a request when it is over, so what is
 * counted has been let through by every limit.
 */
import { measureUntil } from './cpu-time.js';
import type { Guest } from './guest.js';
import { sleep, waitUntil } from './wait.js';

export interface DiskCounters {
  readonly reads: number;
  readonly readBytes: number;
  readonly writes: number;
  readonly writtenBytes: number;
}

/** Per second. */
export type DiskRates = DiskCounters;

/** `target` as in the XML, `vda`. Throws when the guest has no such disk. */
export async function diskCounters(guest: Guest, target: string): Promise<DiskCounters> {
  const { code, stdout, stderr } = await guest.virsh(['domblkstat', guest.uuid, target]);
  if (code !== 0) throw new Error(`domblkstat ${target} (${guest.name}): ${stderr.trim()}`);
  const value = (name: string): number => Number(new RegExp(`^\\S+ ${name} (\\d+)$`, 'm').exec(stdout)?.[1] ?? 0);
  return {
    reads: value('rd_req'),
    readBytes: value('rd_bytes'),
    writes: value('wr_req'),
    writtenBytes: value('wr_bytes'),
  };
}

/** Waits until the guest's boot program is at work on that disk: the BIOS itself makes a few requests. */
export async function waitForRequests(guest: Guest, target: string): Promise<void> {
  const isAtWork = async (): Promise<boolean> => {
    const { reads, writes } = await diskCounters(guest, target);
    return reads + writes > 20;
  };
  await waitUntil(`requests of guest ${guest.name} to ${target}`, isAtWork, { seconds: 30, everyMs: 100 });
}

/** A limit in force lets a moment's worth through at once; so this waits half a second and then counts. */
export async function measureDisk(guest: Guest, target: string, seconds: number): Promise<DiskRates> {
  await sleep(0.5);
  const [before, began] = [await diskCounters(guest, target), performance.now()];
  await sleep(seconds);
  const [after, elapsedSeconds] = [await diskCounters(guest, target), (performance.now() - began) / 1000];
  return {
    reads: (after.reads - before.reads) / elapsedSeconds,
    readBytes: (after.readBytes - before.readBytes) / elapsedSeconds,
    writes: (after.writes - before.writes) / elapsedSeconds,
    writtenBytes: (after.writtenBytes - before.writtenBytes) / elapsedSeconds,
  };
}

/** Measures until `key` is within 10 % of `expected`, three times at most; gives what it was last. */
export async function measureDiskNear(
  guest: Guest,
  target: string,
  key: keyof DiskRates,
  expected: number,
  seconds = 3,
): Promise<number> {
  const near = (rate: number): boolean => Math.abs(rate - expected) <= expected / 10;
  return measureUntil(near, async () => (await measureDisk(guest, target, seconds))[key]);
}
