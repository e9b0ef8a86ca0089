/**
 * Guests that an operator has told the daemon to leave alone, across restarts, until `resume`. Held: what stands,
 * stands. Released: the originals were put back and nothing of ours returns. A hold may end by itself.
 */
import { join } from 'node:path';
import type { Clock } from '../host/clock.js';
import { quarantine, readIfPresent, writeDurably } from '../host/state-file.js';

export interface HandsOff {
  readonly kind: 'held' | 'released';
  readonly name: string;
  readonly untilMs: number | null;
}

interface Stored {
  /** For every guest that is not named below: `held` after this list was damaged, `released` after `release --all`. */
  readonly all: HandsOff['kind'] | null;
  readonly domains: Readonly<Record<string, HandsOff>>;
  /** Resumed one by one since all were released. */
  readonly resumed: readonly string[];
}

export class HandsOffRegister {
  readonly #path: string;
  readonly #clock: Clock;
  #all: HandsOff['kind'] | null = null;
  #domains = new Map<string, HandsOff>();
  #resumed = new Set<string>();
  /** Where a damaged file was put; every guest is held then: who had been released is not known, and nothing is undone. */
  damaged: string | null = null;

  constructor(stateDir: string, clock: Clock) {
    this.#path = join(stateDir, 'hands-off.json');
    this.#clock = clock;
  }

  async load(options: { readonly readOnly: boolean }): Promise<void> {
    const text = await readIfPresent(this.#path);
    if (text === null) return;
    try {
      const stored = JSON.parse(text) as Stored;
      this.#all = stored.all;
      this.#domains = new Map(Object.entries(stored.domains));
      this.#resumed = new Set(stored.resumed);
    } catch {
      this.damaged = options.readOnly ? this.#path : await quarantine(this.#path, this.#clock.nowMs());
      this.#all = 'held';
      if (!options.readOnly) await this.#save();
    }
  }

  /** True when guests that start later are left alone too. */
  get all(): boolean {
    return this.#all !== null;
  }

  of(uuid: string): HandsOff | null {
    const one = this.#domains.get(uuid);
    if (one !== undefined && (one.untilMs === null || one.untilMs > this.#clock.nowMs())) return one;
    return this.#all !== null && !this.#resumed.has(uuid) ? { kind: this.#all, name: '', untilMs: null } : null;
  }

  async set(uuid: string, handsOff: HandsOff): Promise<void> {
    this.#domains.set(uuid, handsOff);
    this.#resumed.delete(uuid);
    await this.#save();
  }

  async setAll(released: readonly { readonly uuid: string; readonly name: string }[]): Promise<void> {
    this.#all = 'released';
    this.#resumed.clear();
    for (const { uuid, name } of released) this.#domains.set(uuid, { kind: 'released', name, untilMs: null });
    await this.#save();
  }

  async clear(uuid: string): Promise<void> {
    this.#domains.delete(uuid);
    if (this.#all !== null) this.#resumed.add(uuid);
    await this.#save();
  }

  async clearAll(): Promise<void> {
    this.#all = null;
    this.#domains.clear();
    this.#resumed.clear();
    await this.#save();
  }

  async #save(): Promise<void> {
    const stored: Stored = {
      all: this.#all,
      domains: Object.fromEntries(this.#domains),
      resumed: [...this.#resumed],
    };
    await writeDurably(this.#path, `${JSON.stringify(stored, null, 2)}\n`);
  }
}
