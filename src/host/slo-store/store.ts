/**
 * Where error budgets outlive the daemon: a directory with a file for each day (UTC), to which one write and one fdatasync
 * add a bucket of all objectives every five minutes. A write that was cut off is cut away before the next. Days go by number
 * and not by age, oldest first, so that a clock that leaps takes nothing away.
 */
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BUCKETS_PER_DAY, type ClosedBucket, type RestoreSink } from '../../slo/buckets.js';
import type { BudgetSource } from '../../slo/budgets.js';
import { KEPT_DAYS } from '../../slo/windows.js';
import { syncDirectory } from '../state-file.js';
import { decodeDay } from './day-codec.js';
import { DayFile, readDayFile } from './day-file.js';

export interface SloStoreOptions {
  /** Days to keep, up to 400; as a rule those of the longest window, which begins and ends in the middle of one. */
  readonly retentionDays?: number;
  /** Days go earlier when all of them are larger than this. */
  readonly limitBytes?: number;
  /** How long to wait before what failed is tried again. */
  readonly retryMs?: number;
}

export interface StoreDamage {
  readonly file: string;
  readonly bytes: number;
}

const DAY_MS = 86_400_000;
const DAY_FILE = /^\d{4}-\d\d-\d\d\.slo$/;
/** Buckets that wait for a disk: a day. Some 12 MiB of 3,000 objectives. */
const MOST_WAITING = 288;
const SLOW_MS = 30_000;

export class SloStore implements BudgetSource {
  readonly #directory: string;
  readonly #retentionDays: number;
  readonly #limitBytes: number;
  readonly #retryMs: number;
  /** Name → bytes on disk. */
  readonly #files = new Map<string, number>();
  /** Of these files, what was there before this process wrote: what it wrote itself is not read back. */
  readonly #restorable = new Map<string, number>();
  #current: DayFile | null = null;
  #waiting: ClosedBucket[] = [];
  #writing: Promise<void> = Promise.resolve();
  #busySinceMs: number | null = null;
  #failedAtMs = Number.NEGATIVE_INFINITY;
  #readError: string | null = null;
  #writeError: string | null = null;
  /** Buckets that waited for too long. */
  #lost = 0;
  /** Days went earlier than they should: there was no room for them. */
  #isShort = false;
  /** What could not be read; the rest was. */
  readonly damage: StoreDamage[] = [];

  constructor(directory: string, options: SloStoreOptions = {}) {
    this.#directory = directory;
    this.#retentionDays = Math.max(1, Math.min(400, options.retentionDays ?? KEPT_DAYS + 1));
    this.#limitBytes = options.limitBytes ?? 200 * 1024 * 1024;
    this.#retryMs = options.retryMs ?? 30_000;
  }

  get bytes(): number {
    let sum = 0;
    for (const bytes of this.#files.values()) sum += bytes;
    return sum;
  }

  /** Why history cannot be read or is not being kept just now; null when all is well. */
  get error(): string | null {
    if (this.#busySinceMs !== null && performance.now() - this.#busySinceMs > SLOW_MS) {
      return `the disk has not answered for ${Math.round((performance.now() - this.#busySinceMs) / 1000)} s`;
    }
    const problem = this.#writeError ?? this.#readError ?? this.#shortness;
    if (this.#lost === 0) return problem;
    const lost = `${this.#lost} buckets of five minutes could not be stored and are unknown after a restart`;
    return problem === null ? lost : `${problem}; ${lost}`;
  }

  get #shortness(): string | null {
    const [oldest = ''] = [...this.#files.keys()].sort();
    if (!this.#isShort || this.#files.size >= this.#retentionDays) return null;
    return `history goes back to ${oldest.slice(0, 10)} only: more than ${this.#limitBytes} bytes are not kept`;
  }

  /** Start of the oldest day that is kept; null without any. */
  get oldestMs(): number | null {
    const oldest = [...this.#files.keys()].sort()[0];
    return oldest === undefined ? null : Date.parse(oldest.slice(0, 10));
  }

  /** Looks what there is. Never throws: without a directory budgets are kept in memory, and `error` says why. */
  async open(): Promise<void> {
    try {
      await makeDirectory(this.#directory);
    } catch (error) {
      this.#writeError = said(error);
    }
    let names: string[] = [];
    try {
      names = await readdir(this.#directory);
    } catch (error) {
      // What could not be made holds no history.
      if (!['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) this.#readError = said(error);
    }
    for (const name of names) {
      if (!DAY_FILE.test(name) || Number.isNaN(Date.parse(name.slice(0, 10)))) continue;
      const found = await stat(join(this.#directory, name)).catch((error: Error) => error);
      if (found instanceof Error) {
        this.#readError = `${name}: ${said(found)}`;
        continue;
      }
      this.#files.set(name, found.size);
      this.#restorable.set(name, found.size);
    }
  }

  /** Day by day; a file that cannot be read costs its day. */
  async load(sink: RestoreSink): Promise<void> {
    for (const name of [...this.#restorable.keys()].sort()) {
      try {
        const whole = await readDayFile(join(this.#directory, name));
        if (whole === null) throw new Error('it has gone');
        const file = whole.subarray(0, this.#restorable.get(name));
        const { damagedBytes, wholeBytes } = await decodeDay(file, Date.parse(name.slice(0, 10)) / DAY_MS, sink);
        const bytes = damagedBytes + file.length - wholeBytes;
        if (bytes > 0) this.#noteDamage(name, bytes);
      } catch (error) {
        this.#readError = `${name}: ${said(error)}`;
      }
    }
  }

  /** Resolves when these are on disk, or `error` says why not; what is not is tried again with the next. Never rejects. */
  append(closed: readonly ClosedBucket[]): Promise<void> {
    this.#waiting.push(...closed);
    const tooMany = this.#waiting.length - MOST_WAITING;
    if (tooMany > 0) {
      this.#waiting = this.#waiting.slice(tooMany);
      this.#lost += tooMany;
    }
    if (this.#busySinceMs === null && this.#waiting.length > 0) this.#writing = this.#write();
    return this.#writing;
  }

  /** Tries again what failed some time ago: to be called now and then. */
  retry(): void {
    if (this.#writeError === null || performance.now() - this.#failedAtMs < this.#retryMs) return;
    if (this.#busySinceMs === null) this.#writing = this.#write();
  }

  async close(): Promise<void> {
    await this.#writing;
    if (this.#waiting.length > 0) await this.#write();
    await this.#leave();
  }

  async #write(): Promise<void> {
    this.#busySinceMs = performance.now();
    try {
      // It may not have been there, nor been possible, before.
      await makeDirectory(this.#directory);
      for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
        const day = dayOf(next);
        // Others may come meanwhile, and some of these may have waited for too long.
        const batch = new Set(this.#waiting.filter((one) => dayOf(one) === day));
        const file = await this.#fileOf(day);
        await file.append([...batch]);
        this.#files.set(nameOf(day), file.bytes);
        const waited = this.#waiting.length;
        this.#waiting = this.#waiting.filter((one) => !batch.has(one));
        this.#lost -= batch.size - (waited - this.#waiting.length);
      }
      await this.#forgetOldest();
      this.#writeError = null;
    } catch (error) {
      this.#writeError = said(error);
      this.#failedAtMs = performance.now();
      // Whatever was half written is cut away when the file is opened again.
      await this.#leave().catch(() => undefined);
    } finally {
      this.#busySinceMs = null;
    }
  }

  async #fileOf(day: number): Promise<DayFile> {
    if (this.#current?.day === day && (await this.#current.isThere())) return this.#current;
    await this.#leave();
    const name = nameOf(day);
    const file = await DayFile.open(join(this.#directory, name), day, this.#files.get(name));
    this.#current = file;
    const before = this.#restorable.get(name);
    if (before !== undefined && before > file.bytes) {
      this.#restorable.set(name, file.bytes);
      this.#noteDamage(name, before - file.bytes);
    }
    if (file.bytes === 0) await syncDirectory(this.#directory);
    this.#files.set(name, file.bytes);
    return file;
  }

  #noteDamage(file: string, bytes: number): void {
    if (!this.damage.some((one) => one.file === file)) this.damage.push({ file, bytes });
  }

  async #leave(): Promise<void> {
    const left = this.#current;
    this.#current = null;
    await left?.close();
  }

  async #forgetOldest(): Promise<void> {
    const current = this.#current === null ? '' : nameOf(this.#current.day);
    const others = [...this.#files.keys()].filter((name) => name !== current).sort();
    for (const name of others) {
      if (this.#files.size <= this.#retentionDays && this.bytes <= this.#limitBytes) return;
      if (this.#files.size <= this.#retentionDays) this.#isShort = true;
      await rm(join(this.#directory, name), { force: true });
      this.#files.delete(name);
    }
  }
}

/** Node calls it ENOENT, whatever it was, when it makes those above too. */
async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') await mkdir(path, { recursive: true, mode: 0o700 });
    else if (code !== 'EEXIST') throw error;
  }
}

function dayOf({ bucket }: ClosedBucket): number {
  return Math.floor(bucket / BUCKETS_PER_DAY);
}

function nameOf(day: number): string {
  return `${new Date(day * DAY_MS).toISOString().slice(0, 10)}.slo`;
}

function said(error: unknown): string {
  return (error as Error).message;
}
