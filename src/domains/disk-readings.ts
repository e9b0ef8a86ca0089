/**
 * What QEMU says of each guest's disks: the throttle in force and the counters. Only its monitor knows, so it is asked
 * through libvirt, seldom: when a guest's throttle is first looked at, after every change of it, and in rounds, a few
 * guests a cycle, each guest once a minute. The last answer stands until then, with its age.
 */

import type { DiskReading, DisksOptions, LibvirtClient } from '../host/libvirt/client.js';
import { histogramText } from '../text/disk-histogram.js';
import { formatDiskThrottle } from '../text/disk-throttle.js';
import type { Domain } from './types.js';

/** Every guest's disks are asked about this often. */
export const ROUND_MS = 60_000;
/** A guest about which libvirt could not answer is not asked again at once. */
const RETRY_MS = 5_000;
/**
 * libvirt is busy with a guest for some milliseconds at a time, and then says nothing of its disks: it is asked again after
 * these, for a new disk has no limit until then.
 */
const BUSY_RETRIES_MS = [100, 200, 400, 800];

interface Known {
  /** libvirt's id of the instance that was asked. */
  readonly id: number;
  readonly atMs: number;
  readonly disks: ReadonlyMap<string, DiskReading>;
}

export interface DiskReadingsOptions {
  readonly libvirt: Pick<LibvirtClient, 'disks'>;
  readonly monotonicMs: () => number;
  /** Something was learnt that a control may act on. */
  onLearnt(uuid: string): void;
}

export class DiskReadings {
  readonly #options: DiskReadingsOptions;
  readonly #known = new Map<string, Known>();
  readonly #asking = new Map<string, Promise<void>>();
  readonly #askedAtMs = new Map<string, number>();
  /** When the histograms of a guest were last looked at: those that nobody looks at are nobody's to ask for. */
  readonly #histogramsWantedAtMs = new Map<string, number>();
  /** uuid → libvirt's id of the instance whose monitor we have used. */
  readonly #monitorUsed = new Map<string, number>();
  #round: Promise<void> | null = null;

  constructor(options: DiskReadingsOptions) {
    this.#options = options;
  }

  /** The last answer about a disk of this running instance; null when there is none yet. */
  of(domain: Domain, target: string): DiskReading | null {
    const known = this.#known.get(domain.uuid);
    return known === undefined || known.id !== domain.facts?.id ? null : (known.disks.get(target) ?? null);
  }

  /** All disks, and when they were asked about (monotonic ms); null when there is no answer yet. */
  all(domain: Domain): { readonly atMs: number; readonly disks: readonly DiskReading[] } | null {
    const known = this.#known.get(domain.uuid);
    return known === undefined || known.id !== domain.facts?.id
      ? null
      : { atMs: known.atMs, disks: [...known.disks.values()] };
  }

  /** Canonical text of the throttle; null when it is not known (yet: then it is asked for). */
  throttle(domain: Domain, target: string): string | null {
    const reading = this.of(domain, target);
    if (reading?.throttle != null) return formatDiskThrottle(reading.throttle);
    if (reading === null || reading.throttleProblem === null) this.#wanted(domain);
    return null;
  }

  /** Canonical text of the boundaries; null when they are not known (yet: then they are asked for, and again in every round). */
  histogram(domain: Domain, target: string): string | null {
    const { uuid } = domain;
    const isFirst = !this.#histogramsWantedAtMs.has(uuid);
    this.#histogramsWantedAtMs.set(uuid, this.#options.monotonicMs());
    const reading = this.of(domain, target);
    if (reading?.histograms !== undefined) return histogramText(reading.histograms);
    if (reading?.histogramProblem == null) this.#wanted(domain, isFirst);
    return null;
  }

  /** A command of ours was sent to the monitor of this instance. */
  usedMonitor(uuid: string, id: number): void {
    this.#monitorUsed.set(uuid, id);
  }

  /** Throttles and histograms may be others by now: unknown until QEMU has been asked again. Counters stand. */
  doubt(uuid: string): void {
    const known = this.#known.get(uuid);
    if (known === undefined) return;
    const disks = [...known.disks].map(([target, { histograms: _, ...disk }]) => {
      return [target, { ...disk, throttle: null }] as const;
    });
    this.#known.set(uuid, { ...known, disks: new Map(disks) });
  }

  /** Asks now. Resolves when the answer is there, or will not come. */
  async refresh(domain: Domain): Promise<void> {
    const { uuid, facts } = domain;
    // One that is under way may be older than what made us ask.
    await this.#asking.get(uuid);
    if (facts?.id != null) await this.#askOnce(uuid, facts.id, BUSY_RETRIES_MS);
  }

  /** Part of a cycle: those whose turn it is, one after the other, in the background. */
  nextRound(domains: readonly Domain[], cycleMs: number): void {
    if (this.#round !== null) return;
    const running = domains.filter(({ facts, state }) => facts?.id != null && state !== 'starting' && hasDisks(facts));
    const share = Math.ceil((running.length * cycleMs) / ROUND_MS);
    const due = running
      .map((domain) => ({ domain, atMs: this.#askedAtMs.get(domain.uuid) ?? Number.NEGATIVE_INFINITY }))
      .filter(({ atMs }) => this.#options.monotonicMs() - atMs >= ROUND_MS - cycleMs)
      .sort((a, b) => a.atMs - b.atMs)
      .slice(0, share);
    if (due.length === 0) return;
    this.#round = (async () => {
      for (const { domain } of due) await this.refresh(domain);
    })().finally(() => {
      this.#round = null;
    });
  }

  /** Resolves when nothing is being asked. */
  async idle(): Promise<void> {
    while (this.#asking.size > 0) await Promise.all(this.#asking.values());
  }

  forget(uuid: string): void {
    this.#known.delete(uuid);
    this.#askedAtMs.delete(uuid);
    this.#histogramsWantedAtMs.delete(uuid);
    this.#monitorUsed.delete(uuid);
  }

  #wanted(domain: Domain, isNew = false): void {
    // libvirt is busy with the start and would not answer; the retry would come seconds after the guest has begun to run.
    if (domain.state === 'starting') return;
    const askedAtMs = this.#askedAtMs.get(domain.uuid) ?? Number.NEGATIVE_INFINITY;
    const isEarly = this.#asking.has(domain.uuid) || this.#options.monotonicMs() - askedAtMs < RETRY_MS;
    if (isEarly && !isNew) return;
    void this.refresh(domain);
  }

  #asksFor(uuid: string, id: number): DisksOptions {
    const wantedAtMs = this.#histogramsWantedAtMs.get(uuid) ?? Number.NEGATIVE_INFINITY;
    const histograms = this.#options.monotonicMs() - wantedAtMs <= ROUND_MS;
    return { histograms, monitorUsed: this.#monitorUsed.get(uuid) === id };
  }

  async #askOnce(uuid: string, id: number, retriesMs: readonly number[]): Promise<void> {
    const asking = this.#asking.get(uuid) ?? this.#ask(uuid, id, retriesMs).finally(() => this.#asking.delete(uuid));
    this.#asking.set(uuid, asking);
    await asking;
  }

  async #ask(uuid: string, id: number, [retryMs, ...retriesMs]: readonly number[]): Promise<void> {
    this.#askedAtMs.set(uuid, this.#options.monotonicMs());
    const answer = await this.#options.libvirt.disks(uuid, id, this.#asksFor(uuid, id));
    // What was known of another instance says nothing; of this one it may still be true.
    if (!answer.ok) {
      const isBusy = answer.failure === 'refused' && retryMs !== undefined;
      const again = (): void => {
        if (this.#askedAtMs.has(uuid)) void this.#askOnce(uuid, id, retriesMs);
      };
      if (isBusy) setTimeout(again, retryMs).unref();
      return;
    }
    // Forgotten meanwhile: the guest has gone.
    if (!this.#askedAtMs.has(uuid)) return;
    const before = this.#known.get(uuid);
    const disks = new Map(answer.value.map((disk) => [disk.target, before?.id === id ? lasting(disk, before) : disk]));
    this.#known.set(uuid, { id, atMs: this.#options.monotonicMs(), disks });
    if (before?.id !== id || textOf(before.disks) !== textOf(disks)) this.#options.onLearnt(uuid);
  }
}

function hasDisks({ tuning }: NonNullable<Domain['facts']>): boolean {
  return tuning.disks.length > 0;
}

/** A disk that QEMU could throttle is one that it can: what stands there is not known at the moment. */
function lasting(disk: DiskReading, { disks }: Known): DiskReading {
  return disks.get(disk.target)?.throttleProblem === null ? { ...disk, throttleProblem: null } : disk;
}

/** What controls act on. */
function textOf(disks: ReadonlyMap<string, DiskReading>): string {
  return JSON.stringify(
    [...disks.values()].map(({ target, throttle, histograms, histogramProblem }) => {
      return [target, throttle, histograms && histogramText(histograms), histogramProblem];
    }),
  );
}
