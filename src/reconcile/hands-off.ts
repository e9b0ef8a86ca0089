/**
 * Guests that an operator has told the daemon to leave alone, across restarts, until `resume`. Held: what stands,
 * stands. Released: the originals were put back and nothing of ours returns. A hold may end by itself.
 */
import { join } from 'node:path';
import * as z from 'zod';
import type { Clock } from '../host/clock.js';
import { readIfPresent, setAside, writeDurably } from '../host/state-file.js';

export interface HandsOff {
  readonly kind: 'held' | 'released';
  readonly name: string;
  readonly untilMs: number | null;
  /** What a hold that ends by itself goes back to. */
  readonly afterwards?: 'released' | undefined;
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
  #saving: Promise<void> = Promise.resolve();
  /** Where a damaged file was put; every guest is held then: who had been released is not known, and nothing is undone. */
  damaged: string | null = null;

  constructor(stateDir: string, clock: Clock) {
    this.#path = join(stateDir, 'hands-off.json');
    this.#clock = clock;
  }

  async load(options: { readonly readOnly: boolean }): Promise<void> {
    try {
      const text = await readIfPresent(this.#path);
      if (text === null) return;
      const stored = checked(JSON.parse(text));
      this.#all = stored.all;
      this.#domains = new Map(Object.entries(stored.domains));
      this.#resumed = new Set(stored.resumed);
    } catch {
      // Held from here on, whatever becomes of the file.
      this.#all = 'held';
      this.damaged = this.#path;
      if (options.readOnly) return;
      try {
        this.damaged = await setAside(this.#path, this.#clock.nowMs());
        await this.#save(this.#stored());
      } catch {
        // The state directory cannot be written: the next start finds the same file and holds again.
      }
    }
  }

  /** True when guests that start later are left alone too. */
  get all(): boolean {
    return this.#all !== null;
  }

  of(uuid: string): HandsOff | null {
    const one = this.#domains.get(uuid);
    if (one !== undefined && (one.untilMs === null || one.untilMs > this.#clock.nowMs())) return one;
    if (one?.afterwards === 'released') return { kind: 'released', name: one.name, untilMs: null };
    return this.#all !== null && !this.#resumed.has(uuid) ? { kind: this.#all, name: '', untilMs: null } : null;
  }

  async set(uuid: string, handsOff: HandsOff): Promise<void> {
    await this.#change(({ domains }) => {
      const before = domains.get(uuid);
      const released = before?.kind === 'released' || before?.afterwards === 'released';
      domains.set(uuid, handsOff.kind === 'held' && released ? { ...handsOff, afterwards: 'released' } : handsOff);
    });
  }

  async setAll(released: readonly { readonly uuid: string; readonly name: string }[]): Promise<void> {
    await this.#change((draft) => {
      draft.all = 'released';
      draft.resumed.clear();
      for (const { uuid, name } of released) draft.domains.set(uuid, { kind: 'released', name, untilMs: null });
    });
  }

  async clear(uuid: string): Promise<void> {
    await this.#change((draft) => {
      draft.domains.delete(uuid);
      if (draft.all !== null) draft.resumed.add(uuid);
    });
  }

  async clearAll(): Promise<void> {
    await this.#change((draft) => {
      draft.all = null;
      draft.domains.clear();
      draft.resumed.clear();
    });
    this.damaged = null;
  }

  /** One change after another; in force once it is on disk, so that a command that fails has changed nothing. */
  #change(edit: (draft: Draft) => void): Promise<void> {
    const change = this.#saving
      .catch(() => undefined)
      .then(async () => {
        const draft: Draft = { all: this.#all, domains: new Map(this.#domains), resumed: new Set(this.#resumed) };
        edit(draft);
        await this.#save({
          all: draft.all,
          domains: Object.fromEntries(draft.domains),
          resumed: [...draft.resumed],
        });
        this.#all = draft.all;
        this.#domains = draft.domains;
        this.#resumed = draft.resumed;
      });
    this.#saving = change;
    return change;
  }

  #stored(): Stored {
    return { all: this.#all, domains: Object.fromEntries(this.#domains), resumed: [...this.#resumed] };
  }

  async #save(stored: Stored): Promise<void> {
    await writeDurably(this.#path, `${JSON.stringify(stored, null, 2)}\n`);
  }
}

interface Draft {
  all: HandsOff['kind'] | null;
  domains: Map<string, HandsOff>;
  resumed: Set<string>;
}

const KIND = z.enum(['held', 'released']);
const STORED = z.object({
  all: KIND.nullable(),
  domains: z.record(
    z.string(),
    z.object({
      kind: KIND,
      name: z.string(),
      untilMs: z.number().nullable(),
      afterwards: z.literal('released').optional(),
    }),
  ),
  resumed: z.array(z.string()),
});

/** Throws for anything else than what we wrote. */
function checked(stored: unknown): Stored {
  return STORED.parse(stored);
}
