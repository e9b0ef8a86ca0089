/**
 * The record of originals: what stood in each place before virtslad wrote there. It is on disk, fsynced, before the
 * first write that it covers. A damaged journal never stops the daemon: what can be trusted is kept, the file is moved
 * aside, and the domains concerned have an unknown baseline.
 */
import { join } from 'node:path';
import type { Clock } from '../host/clock.js';
import { quarantine, readIfPresent, writeDurably } from '../host/state-file.js';
import { formatJournal, type JournalRecord, parseJournal } from './journal-format.js';

export class Journal {
  readonly #path: string;
  readonly #clock: Clock;
  #records = new Map<string, JournalRecord>();
  #saving: Promise<void> | null = null;
  #dirty = false;
  /** Keys whose latest record is not on disk yet. */
  readonly #unsaved = new Set<string>();
  /** Where a damaged journal was put; null when the journal was whole. */
  damaged: string | null = null;
  /** Why the last save failed; controls whose record is not on disk are not written meanwhile. */
  saveError: string | null = null;

  constructor(stateDir: string, clock: Clock) {
    this.#path = join(stateDir, 'journal');
    this.#clock = clock;
  }

  /** `readOnly` leaves a damaged file where it is. */
  async load(options: { readonly readOnly: boolean }): Promise<void> {
    const text = await readIfPresent(this.#path);
    if (text === null) return;
    const { records, damagedLines } = parseJournal(text);
    this.#records = new Map(records.map((record) => [keyOf(record.uuid, record.control), record]));
    if (damagedLines.length === 0) return;
    this.damaged = options.readOnly ? this.#path : await quarantine(this.#path, this.#clock.nowMs());
    if (!options.readOnly) await this.put([...this.#records.values()]);
  }

  get(uuid: string, control: string): JournalRecord | null {
    return this.#records.get(keyOf(uuid, control)) ?? null;
  }

  of(uuid: string): JournalRecord[] {
    return [...this.#records.values()].filter((record) => record.uuid === uuid);
  }

  uuids(): Set<string> {
    return new Set([...this.#records.values()].map((record) => record.uuid));
  }

  /** True when the record of this control, if it has one, is on disk: its settings may be written. */
  covers(uuid: string, control: string): boolean {
    return !this.#unsaved.has(keyOf(uuid, control));
  }

  /** Resolves once the records are on disk. Throws when they cannot be; {@link covers} then says no. */
  async put(records: readonly JournalRecord[]): Promise<void> {
    for (const record of records) {
      this.#records.set(keyOf(record.uuid, record.control), record);
      this.#unsaved.add(keyOf(record.uuid, record.control));
    }
    await this.#save();
  }

  async remove(keys: readonly { readonly uuid: string; readonly control: string }[]): Promise<void> {
    for (const { uuid, control } of keys) {
      this.#records.delete(keyOf(uuid, control));
      this.#unsaved.delete(keyOf(uuid, control));
    }
    await this.#save();
  }

  /** Callers that come while a save is under way share the next one: one fsync for many guests. */
  async #save(): Promise<void> {
    this.#dirty = true;
    while (this.#saving !== null) await this.#saving.catch(() => undefined);
    if (!this.#dirty) {
      if (this.saveError !== null) throw new Error(this.saveError);
      return;
    }
    this.#dirty = false;
    const saved = new Map(this.#records);
    this.#saving = writeDurably(this.#path, formatJournal(saved.values()));
    try {
      await this.#saving;
      this.saveError = null;
      // A record that was replaced while the save ran is still to be saved.
      for (const key of this.#unsaved) if (this.#records.get(key) === saved.get(key)) this.#unsaved.delete(key);
    } catch (error) {
      this.#dirty = true;
      this.saveError = (error as Error).message;
      throw error;
    } finally {
      this.#saving = null;
    }
  }
}

function keyOf(uuid: string, control: string): string {
  return `${uuid} ${control}`;
}
