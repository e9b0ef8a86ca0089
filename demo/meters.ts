/** What is measured while the demo runs: cores and disk reads of each guest, and where the host's CPU went meanwhile. */
import { measureCores } from '../test/support/cpu-time.js';
import type { DemoGuest } from './guests.js';
import { type CpuTimes, type HostShare, readCpuTimes, shareOf } from './host-cpu.js';

/** Of each guest, in the order of the guests. */
export interface Rates {
  readonly cores: readonly number[];
  /** null: it does not read. */
  readonly readsPerSecond: readonly (number | null)[];
}

/** Over the same stretch of time. */
export async function measure(guests: readonly DemoGuest[], seconds: number, signal: AbortSignal): Promise<Rates> {
  const meter = await DiskMeter.begin(guests);
  const pids = guests.map(({ pid }) => pid);
  const cores = await measureCores(pids, seconds, signal);
  return { cores, readsPerSecond: await meter.rates() };
}

/** Reads of each guest's disk a second, from now on. */
export class DiskMeter {
  readonly #guests: readonly DemoGuest[];
  readonly #began: readonly (Count | null)[];

  private constructor(guests: readonly DemoGuest[], began: readonly (Count | null)[]) {
    this.#guests = guests;
    this.#began = began;
  }

  static async begin(guests: readonly DemoGuest[]): Promise<DiskMeter> {
    return new DiskMeter(guests, await Promise.all(guests.map(count)));
  }

  async rates(): Promise<readonly (number | null)[]> {
    const now = await Promise.all(this.#guests.map(count));
    return now.map((ended, index) => {
      const began = this.#began[index] ?? null;
      if (ended === null || began === null) return null;
      return ((ended.reads - began.reads) * 1000) / (ended.atMs - began.atMs);
    });
  }
}

interface Count {
  readonly reads: number;
  readonly atMs: number;
}

async function count(guest: DemoGuest): Promise<Count | null> {
  return guest.reads ? { reads: await guest.diskReads(), atMs: performance.now() } : null;
}

/** Where the host's CPU goes from now on. */
export class HostMeter {
  readonly #began = performance.now();
  readonly #before: CpuTimes = readCpuTimes();

  share(guestCores: readonly number[]): HostShare {
    const seconds = (performance.now() - this.#began) / 1000;
    const sum = guestCores.reduce((total, cores) => total + cores, 0);
    return shareOf(this.#before, readCpuTimes(), seconds, sum);
  }
}
