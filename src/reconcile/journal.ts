/**
 * The record of originals: what stood in each place before virtslad wrote there. It is on disk, fsynced, before the
 * first write that it covers. A damaged journal never stops the daemon: what can be trusted is kept, the file is put
 * aside, and the domains concerned have an unknown baseline.
 */
import { join } from 'node:path';
import type { Clock } from '../host/clock.js';
import { readIfPresent, setAside, writeDurably } from '../host/state-file.js';
import { formatJournal, type JournalRecord, parseJournal } from './journal-format.js';

/** A disk that does not answer must not keep guests whose records it already has from being mended. */
const SAVE_WAIT_MS = 2_000;

export class Journal {
  readonly #path: string;
  readonly #clock: Clock;
  /** uuid → control → record */
  readonly #records = new Map<string, Map<string, JournalRecord>>();
  /** Group → uuids of guests without libvirt that have lived in it. */
  readonly #tenants = new Map<string, Set<string>>();
  /** Records, by identity, that are not on disk yet. */
  readonly #unsaved = new Set<JournalRecord>();
  #saving: Promise<void> | null = null;
  #dirty = false;
  /** A damaged file is still in the journal's place: nothing may be written over it. */
  #inTheWay = false;
  #readOnly = false;
  /** Where a damaged journal was put; null when the journal was whole. */
  damaged: string | null = null;
  /** Why the last save failed; controls whose record is not on disk are not written meanwhile. */
  saveError: string | null = null;

  constructor(stateDir: string, clock: Clock) {
    this.#path = join(stateDir, 'journal');
    this.#clock = clock;
  }

  /** `readOnly` leaves a damaged file where it is. An unreadable file is a damaged one: our values may be out there. */
  async load(options: { readonly readOnly: boolean }): Promise<void> {
    let text: string | null = null;
    try {
      text = await readIfPresent(this.#path);
      if (text === null) return;
      const { records, damagedLines } = parseJournal(text);
      for (const record of records) this.#set(record);
      if (damagedLines.length === 0) return;
    } catch (error) {
      this.saveError = (error as Error).message;
    }
    this.damaged = this.#path;
    this.#readOnly = options.readOnly;
    if (options.readOnly) return;
    this.#inTheWay = true;
    await this.put([]);
  }

  /** True when the record of this control, if it has one, is on disk: its settings may be written. */
  covers(uuid: string, control: string): boolean {
    const record = this.get(uuid, control);
    return record === null || !this.#unsaved.has(record);
  }

  get(uuid: string, control: string): JournalRecord | null {
    return this.#records.get(uuid)?.get(control) ?? null;
  }

  of(uuid: string): JournalRecord[] {
    return [...(this.#records.get(uuid)?.values() ?? [])];
  }

  /** Of an earlier process in the group, which has left it as it was. */
  inherited(group: string, control: string): JournalRecord | null {
    for (const uuid of this.#tenants.get(group) ?? []) {
      const record = this.get(uuid, control);
      if (record !== null) return record;
    }
    return null;
  }

  /** All records of guests without libvirt. */
  *lasting(): Generator<JournalRecord & { readonly group: string }> {
    for (const [group, tenants] of this.#tenants) {
      for (const uuid of tenants) for (const record of this.of(uuid)) yield { ...record, group };
    }
  }

  uuids(): Set<string> {
    return new Set(this.#records.keys());
  }

  /** Resolves once the records are on disk. Rejects when they cannot be, or not in time; {@link covers} then says no. */
  async put(records: readonly JournalRecord[]): Promise<void> {
    for (const record of records) {
      this.#set(record);
      this.#unsaved.add(record);
    }
    await this.#saveInTime();
  }

  async remove(keys: readonly { readonly uuid: string; readonly control: string }[]): Promise<void> {
    for (const { uuid, control } of keys) {
      const record = this.get(uuid, control);
      if (record === null) continue;
      this.#unsaved.delete(record);
      this.#records.get(uuid)?.delete(control);
      if (this.#records.get(uuid)?.size === 0) {
        this.#records.delete(uuid);
        this.#dropTenant(uuid);
      }
    }
    await this.#saveInTime();
  }

  /** Resolves when nothing is being saved. */
  async idle(): Promise<void> {
    while (this.#saving !== null) await this.#saving.catch(() => undefined);
  }

  #set(record: JournalRecord): void {
    const ofDomain = this.#records.get(record.uuid) ?? new Map<string, JournalRecord>();
    const replaced = ofDomain.get(record.control);
    if (replaced !== undefined) this.#unsaved.delete(replaced);
    ofDomain.set(record.control, record);
    this.#records.set(record.uuid, ofDomain);
    if (record.group === undefined) return;
    const tenants = this.#tenants.get(record.group) ?? new Set();
    this.#tenants.set(record.group, tenants.add(record.uuid));
  }

  #dropTenant(uuid: string): void {
    for (const [group, tenants] of this.#tenants) {
      if (tenants.delete(uuid) && tenants.size === 0) this.#tenants.delete(group);
    }
  }

  async #saveInTime(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.saveError = `the state directory did not answer within ${SAVE_WAIT_MS / 1000} s`;
        reject(new Error(this.saveError));
      }, SAVE_WAIT_MS);
    });
    try {
      await Promise.race([this.#save(), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #write(text: string): Promise<void> {
    if (this.#readOnly) throw new Error(this.saveError ?? 'the journal is only read');
    if (this.#inTheWay) {
      this.damaged = await setAside(this.#path, this.#clock.nowMs());
      this.#inTheWay = false;
    }
    await writeDurably(this.#path, text);
  }

  /** Callers that come while a save is under way share the next one: one fsync for many guests. */
  async #save(): Promise<void> {
    this.#dirty = true;
    await this.idle();
    if (!this.#dirty) {
      if (this.saveError !== null) throw new Error(this.saveError);
      return;
    }
    this.#dirty = false;
    const all = [...this.#records.values()].flatMap((records) => [...records.values()]);
    this.#saving = this.#write(formatJournal(all));
    try {
      await this.#saving;
      this.saveError = null;
      for (const record of all) this.#unsaved.delete(record);
    } catch (error) {
      this.#dirty = true;
      this.saveError = (error as Error).message;
      throw error;
    } finally {
      this.#saving = null;
    }
  }
}
