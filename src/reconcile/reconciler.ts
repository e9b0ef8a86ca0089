/**
 * Decides when to look: every few seconds at all guests, at once at one that something happened to. Partial looks run
 * beside a full cycle; each domain is read and written in one breath, so they cannot mix.
 */
import { type CycleResult, cycle } from './cycle.js';
import { settleIoCost } from './host-controls/settle-io-cost.js';
import { settleSlices } from './host-controls/settle-slices.js';
import { LaunchedGuests } from './labels/launched.js';
import { removeEnded } from './lasting-records.js';
import type { Parts } from './parts.js';
import { countReach } from './reach.js';

/** Every domain's XML is read again at least this often, should an event be lost. */
const FACTS_ROTATION_MS = 300_000;

export interface ReconcilerOptions {
  readonly parts: Parts;
  readonly cycleMs: number;
  /** Samples all running guests' counters; part of a full cycle. */
  sample(): Promise<void>;
  /** A full cycle has ended well: feeds the watchdog and the metrics. */
  onCycle(seconds: number): void;
}

export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #launched: LaunchedGuests;
  readonly #dirty = new Set<string>();
  #flush: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #full: Promise<CycleResult> | null = null;
  #resync: Promise<boolean> | null = null;
  #rotation: string[] = [];
  #resyncAgain: Promise<boolean> | null = null;
  /** Between start and stop: a lone command looks only where it is told to. */
  #running = false;
  lastSuccessMs: number | null = null;
  lastSeconds = 0;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    this.#launched = new LaunchedGuests(options.parts);
  }

  start(): void {
    this.#running = true;
    this.#schedule();
  }

  async stop(): Promise<void> {
    this.#running = false;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await Promise.allSettled([this.#full, this.#flush]);
  }

  /** Something happened to this guest: look at it now. */
  request(uuid: string): void {
    if (!this.#running) return;
    this.#dirty.add(uuid);
    this.#flush ??= this.#drain();
  }

  /** A full cycle now; callers that come while one runs get the next one's result. */
  async full(): Promise<CycleResult> {
    while (this.#full !== null) await this.#full.catch(() => undefined);
    this.#full = this.#runFull();
    try {
      return await this.#full;
    } finally {
      this.#full = null;
    }
  }

  /**
   * Asks libvirt which guests there are. True when it answered. Who comes while a question is under way gets the next
   * one's answer: the one under way may be older than what made them ask.
   */
  async resync(): Promise<boolean> {
    if (this.#resync === null) {
      this.#resync = this.#runResync().finally(() => {
        this.#resync = null;
      });
      return this.#resync;
    }
    this.#resyncAgain ??= this.#resync
      .catch(() => false)
      .then(() => {
        this.#resyncAgain = null;
        return this.resync();
      });
    return this.#resyncAgain;
  }

  async #runResync(): Promise<boolean> {
    const { parts } = this.#options;
    const before = new Set(parts.inventory.all().map(({ uuid }) => uuid));
    const result = await parts.inventory.resync();
    if (!result.ok) return false;
    const due = parts.inventory.all().filter(({ uuid }) => !before.has(uuid) || parts.picture.get(uuid) === null);
    for (const { uuid } of due.filter(({ source }) => source === 'libvirt')) this.request(uuid);
    const bare = due.filter(({ source }) => source === 'bare');
    if (bare.length > 0) await this.#launched.settle();
    for (const { uuid } of bare) this.request(uuid);
    return true;
  }

  async #drain(): Promise<void> {
    // One turn of the event loop, so that a burst of events about one guest is one look.
    await new Promise<void>((resolve) => setImmediate(resolve));
    const { parts } = this.#options;
    try {
      while (this.#dirty.size > 0) {
        const uuids = [...this.#dirty];
        this.#dirty.clear();
        await cycle(parts, uuids);
      }
    } catch (error) {
      parts.counters.cycleFailures++;
      parts.log.error('reconcile.failed', { reason: (error as Error).message });
    } finally {
      this.#flush = null;
      if (this.#dirty.size > 0 && this.#running) this.#flush = this.#drain();
    }
  }

  async #runFull(): Promise<CycleResult> {
    const { parts, onCycle, sample } = this.#options;
    const startMs = parts.clock.monotonicMs();
    await this.judge();
    await this.#launched.settle();
    await parts.labels.audit.look();
    const uuids = parts.inventory.all().map(({ uuid }) => uuid);
    await settleIoCost(parts);
    const result = await cycle(parts, uuids);
    await settleSlices(parts);
    if (this.#running) parts.labels.act();
    await sample();
    this.#forgetGone();
    await removeEnded(parts).catch((error: Error) => parts.log.error('journal.save', { reason: error.message }));
    this.#rotateFacts(uuids);
    parts.counters.cycles++;
    this.lastSeconds = (parts.clock.monotonicMs() - startMs) / 1000;
    this.lastSuccessMs = parts.clock.nowMs();
    onCycle(this.lastSeconds);
    return result;
  }

  /** A new policy set is judged against the guests that are there, so not before libvirt has said which those are. */
  async judge(): Promise<void> {
    const { parts } = this.#options;
    const { generations, inventory, log } = parts;
    if (!generations.undecided || (generations.active !== null && !inventory.complete)) return;
    const verdict = await generations.settle((from, to) => countReach(parts, from, to));
    if (verdict === 'accepted') {
      log.info('policy.accepted', { generation: generations.active?.id });
    } else if (verdict === 'held-back') {
      const { generation, affected, total, allowed } = generations.pending ?? {};
      log.error(
        'policy.held_back',
        { generation: generation?.id, affected, total, allowed },
        `too many guests would change; the last accepted policies stay until \`virtslad apply --once --acknowledge ${generation?.id}\``,
      );
    }
  }

  #forgetGone(): void {
    const { parts } = this.#options;
    const present = new Set(parts.inventory.all().map(({ uuid }) => uuid));
    for (const { uuid } of parts.picture.domains()) {
      if (present.has(uuid)) continue;
      parts.picture.forget(uuid);
      parts.memory.forget(uuid);
      parts.contention.forget(uuid);
      parts.attribution.forget(uuid);
      parts.counters.forget(uuid);
      parts.teller.forget(uuid);
      parts.teller.resolve(uuid);
      for (const key of [...parts.tellFailures.keys()]) if (key.startsWith(`${uuid} `)) parts.tellFailures.delete(key);
    }
  }

  #rotateFacts(uuids: readonly string[]): void {
    const { parts, cycleMs } = this.#options;
    if (this.#rotation.length === 0) this.#rotation = [...uuids];
    const share = Math.ceil(uuids.length / Math.max(1, FACTS_ROTATION_MS / cycleMs));
    for (const uuid of this.#rotation.splice(0, share)) {
      parts.inventory.refreshFacts(uuid).catch(() => false);
    }
  }

  /** A full cycle that fails is counted and logged; the next one comes all the same. */
  async tick(): Promise<void> {
    try {
      await this.full();
    } catch (error) {
      this.#options.parts.counters.cycleFailures++;
      this.#options.parts.log.error('reconcile.failed', { reason: (error as Error).message });
    }
  }

  #schedule(): void {
    if (!this.#running) return;
    this.#timer = setTimeout(async () => {
      // libvirt is asked beside the cycle, not before it: a libvirtd that hangs must not keep drift from being mended.
      this.resync().catch((error: Error) => {
        this.#options.parts.log.error('resync.failed', { reason: error.message });
      });
      await this.tick();
      this.#schedule();
    }, this.#options.cycleMs);
  }
}
