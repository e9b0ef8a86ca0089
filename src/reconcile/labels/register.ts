/**
 * Which guest has which pair of MCS categories, for good or while it runs, and what `virtslad launch` made for its
 * guests: `STATE_DIR/labels.json`. The daemon and each launch are processes of their own, so every change reads, checks
 * and writes under one lock; what is only looked up comes from memory, read again when the file is another. A damaged
 * file is put aside and never stops anybody: no pair of a running process is given away, register or not.
 */
import { randomInt } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { whileLocked } from '../../host/locked-file.js';
import { mayLive } from '../../host/proc/process.js';
import { readIfPresent, setAside, writeDurably } from '../../host/state-file.js';
import { allocatePair, InUse } from '../../svirt/allocator.js';
import type { CategorySet } from '../../svirt/categories.js';
import { formatLabels, type LabelEntry, type Launched, parseLabels } from './register-format.js';

export type { LabelEntry, Launched } from './register-format.js';

export type CategoryPair = readonly [number, number];

export interface LabelRegisterOptions {
  readonly stateDir: string;
  readonly procRoot?: string;
  readonly nowMs?: () => number;
  /** A whole number from 0 to below − 1, evenly. */
  readonly random?: (below: number) => number;
}

/** Who asks for a pair, and for how long. Default: the guest's definition, until it is released. */
export interface Assignee {
  readonly by: LabelEntry['by'];
  readonly type?: string;
  /** Of a launch: the pair goes with this process, unless `lasting`. */
  readonly launched?: Launched;
  /** The guest keeps the pair also while it does not run. */
  readonly lasting?: boolean;
}

export class LabelRegister {
  readonly #path: string;
  readonly #lock: string;
  readonly #procRoot: string;
  readonly #nowMs: () => number;
  readonly #random: (below: number) => number;
  #entries = new Map<string, LabelEntry>();
  /** `PID:START` → class. */
  #launched = new Map<string, string>();
  /** Of the file that the entries were read from. */
  #seen = '';
  /** Where a damaged register was put; null while none was found. Pairs of guests that do not run are unknown then. */
  damaged: string | null = null;

  private constructor({ stateDir, procRoot, nowMs, random }: LabelRegisterOptions) {
    this.#path = join(stateDir, 'labels.json');
    this.#lock = join(stateDir, 'labels.lock');
    this.#procRoot = procRoot ?? '/proc';
    this.#nowMs = nowMs ?? Date.now;
    this.#random = random ?? randomInt;
  }

  static open(options: LabelRegisterOptions): LabelRegister {
    return new LabelRegister(options);
  }

  /** Reads the file if it is another than before. `readOnly` leaves a damaged one where it is. */
  async load({ readOnly = false }: { readonly readOnly?: boolean } = {}): Promise<void> {
    if ((await this.#version()) === this.#seen) return;
    if (readOnly) await this.#read(true);
    else await whileLocked(this.#lock, () => this.#read(false));
  }

  pairOf(uuid: string): CategoryPair | null {
    return this.#entries.get(uuid)?.categories ?? null;
  }

  entry(uuid: string): LabelEntry | null {
    return this.#entries.get(uuid) ?? null;
  }

  entries(): LabelEntry[] {
    return [...this.#entries.values()];
  }

  /** The class that this very process was launched in; null: it was not. */
  launchedIn({ pid, startTicks }: { readonly pid: number; readonly startTicks: bigint }): string | null {
    return this.#launched.get(`${pid}:${startTicks}`) ?? null;
  }

  /**
   * A pair for the guest that clashes with none in use: the one that it has, if it is still free and in the pool, else a
   * new one; null when the pool has none left. `inUse`: what running processes wear, the guest's own process left out.
   */
  async assign(
    uuid: string,
    name: string,
    pool: readonly number[] | null,
    inUse: Iterable<CategorySet>,
    assignee: Assignee = { by: 'definition' },
  ): Promise<CategoryPair | null> {
    return this.#change(async (entries) => {
      const used = new InUse(inUse);
      for (const entry of entries.values()) {
        if (entry.uuid !== uuid && entry.categories !== null && this.#counts(entry)) used.add(entry.categories);
      }
      const known = entries.get(uuid)?.categories ?? null;
      const keeps = known !== null && isWithin(known, pool) && used.isFree(known[0], known[1]);
      const pair = keeps ? known : allocatePair(used, { pool, random: this.#random });
      if (pair !== null) entries.set(uuid, this.#entryOf(uuid, name, pair, assignee));
      return pair;
    });
  }

  /** What a launch makes, before it is made: whoever comes later can tidy up. Keeps the pair that the guest has. */
  async note(uuid: string, name: string, assignee: Assignee): Promise<void> {
    await this.#change(async (entries) => {
      const pair = entries.get(uuid)?.categories ?? null;
      entries.set(uuid, this.#entryOf(uuid, name, pair, assignee));
    });
  }

  /** The guest has no pair any more. Nothing of a launch is known any more either. */
  async release(uuid: string): Promise<void> {
    await this.#change(async (entries) => void entries.delete(uuid));
  }

  /** A launch that came to nothing: what it was given goes back, a lasting pair stays with the guest. */
  async endLaunch(uuid: string): Promise<void> {
    await this.#change(async (entries) => {
      const entry = entries.get(uuid);
      if (entry !== undefined) withoutLaunch(entries, entry);
    });
  }

  /** Guests that wear a pair which the register lost, as far as nobody else has one that clashes. */
  async rebuild(
    guests: readonly { readonly uuid: string; readonly name: string; readonly categories: CategoryPair }[],
  ) {
    await this.#change(async (entries) => {
      for (const { uuid, name, categories } of guests) {
        if (!entries.has(uuid)) entries.set(uuid, this.#entryOf(uuid, name, categories, { by: 'definition' }));
      }
    });
  }

  /**
   * Launches whose process has ended: forgotten when `tidied` says that nothing of theirs is left; a lasting pair stays
   * with its guest.
   */
  async removeEnded(tidied: (launched: Launched) => boolean): Promise<void> {
    const isEnded = ({ launched }: LabelEntry): boolean => launched !== null && !this.#lives(launched);
    await this.load();
    if (!this.entries().some(isEnded)) return;
    await this.#change(async (entries) => {
      for (const entry of [...entries.values()].filter(isEnded)) {
        if (entry.launched === null || !tidied(entry.launched)) continue;
        withoutLaunch(entries, entry);
      }
    });
  }

  /** One change of what is known of the guest's launch; nothing when it has none. */
  async amend(uuid: string, change: (launched: Launched) => Launched): Promise<void> {
    await this.#change(async (entries) => {
      const entry = entries.get(uuid);
      if (entry?.launched != null) entries.set(uuid, { ...entry, launched: change(entry.launched) });
    });
  }

  #entryOf(uuid: string, name: string, categories: CategoryPair | null, assignee: Assignee): LabelEntry {
    return {
      uuid,
      name,
      type: assignee.type ?? null,
      categories,
      since: new Date(this.#nowMs()).toISOString(),
      by: assignee.by,
      lasting: assignee.lasting ?? assignee.by === 'definition',
      launched: assignee.launched ?? null,
    };
  }

  #counts({ lasting, launched }: LabelEntry): boolean {
    return lasting || launched === null || this.#lives(launched);
  }

  #lives({ pid, startTicks }: Launched): boolean {
    return mayLive(this.#procRoot, pid, BigInt(startTicks));
  }

  async #change<T>(edit: (entries: Map<string, LabelEntry>) => Promise<T>): Promise<T> {
    return whileLocked(this.#lock, async () => {
      await this.#read(false);
      const draft = new Map(this.#entries);
      const result = await edit(draft);
      if (isSame(draft, this.#entries)) return result;
      await writeDurably(this.#path, formatLabels(draft.values()));
      this.#know(draft);
      this.#seen = await this.#version();
      return result;
    });
  }

  async #read(readOnly: boolean): Promise<void> {
    const version = await this.#version();
    if (version === this.#seen) return;
    const text = await readIfPresent(this.#path);
    const entries = text === null ? [] : parseLabels(text);
    if (entries === null) {
      this.damaged = this.#path;
      if (!readOnly) {
        this.damaged = await setAside(this.#path, this.#nowMs());
        // What is known here was whole when it was read.
        await writeDurably(this.#path, formatLabels(this.#entries.values()));
      }
    } else this.#know(new Map(entries.map((entry) => [entry.uuid, entry])));
    this.#seen = readOnly ? version : await this.#version();
  }

  #know(entries: Map<string, LabelEntry>): void {
    this.#entries = entries;
    const launched = [...entries.values()].flatMap((entry) => entry.launched ?? []);
    this.#launched = new Map(launched.map(({ pid, startTicks, className }) => [`${pid}:${startTicks}`, className]));
  }

  /** A file that was renamed into its place has another inode; null file: nothing was ever assigned. */
  async #version(): Promise<string> {
    try {
      const { ino, mtimeNs, size } = await stat(this.#path, { bigint: true });
      return `${ino} ${mtimeNs} ${size}`;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'none';
      throw error;
    }
  }
}

function withoutLaunch(entries: Map<string, LabelEntry>, entry: LabelEntry): void {
  if (entry.lasting && entry.categories !== null) entries.set(entry.uuid, { ...entry, launched: null });
  else entries.delete(entry.uuid);
}

function isWithin(pair: CategoryPair, pool: readonly number[] | null): boolean {
  return pool === null || pair.every((category) => pool.includes(category));
}

function isSame(a: ReadonlyMap<string, LabelEntry>, b: ReadonlyMap<string, LabelEntry>): boolean {
  return a.size === b.size && [...a].every(([uuid, entry]) => b.get(uuid) === entry);
}
