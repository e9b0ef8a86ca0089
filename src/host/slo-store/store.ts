/**
 * Where error budgets outlive the daemon: a directory with a file for each day (UTC), to which one write and one fdatasync
 * add a bucket of all objectives every five minutes. A write that was cut off is cut away before the next. Days go by number
 * and not by age, oldest first, so that a clock that leaps takes nothing away.
 */
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BUCKETS_PER_DAY, type ClosedBucket, type RestoreSink } from '../../slo/buckets.js';
import type { BudgetSource } from '../../slo/budgets.js';
import { syncDirectory } from '../state-file.js';
import { decodeDay, encodeBucket, readNames } from './day-codec.js';
import type { SeriesNames } from './names.js';

export interface SloStoreOptions {
  /** Days to keep, up to 400. */
  readonly retentionDays?: number;
  /** Days go earlier when all of them are larger than this. */
  readonly limitBytes?: number;
}

export interface StoreDamage {
  readonly file: string;
  readonly bytes: number;
}

const DAY_MS = 86_400_000;
const DAY_FILE = /^\d{4}-\d\d-\d\d\.slo$/;
const MOST_FILE_BYTES = 64 * 1024 * 1024;
/** Buckets that wait for a disk: eight hours. */
const MOST_WAITING = 96;
const SLOW_MS = 30_000;

interface DayFile {
  readonly day: number;
  readonly handle: FileHandle;
  readonly names: SeriesNames;
  bytes: number;
}

export class SloStore implements BudgetSource {
  readonly #directory: string;
  readonly #retentionDays: number;
  readonly #limitBytes: number;
  /** Name → bytes. */
  readonly #files = new Map<string, number>();
  /** Of these files, what was there before this process wrote: what it wrote itself is not read back. */
  readonly #restorable = new Map<string, number>();
  #current: DayFile | null = null;
  #waiting: ClosedBucket[] = [];
  #writing: Promise<void> = Promise.resolve();
  #busySinceMs: number | null = null;
  #readError: string | null = null;
  #writeError: string | null = null;
  #lost = 0;
  /** What could not be read; the rest was. */
  readonly damage: StoreDamage[] = [];

  constructor(directory: string, options: SloStoreOptions = {}) {
    this.#directory = directory;
    this.#retentionDays = Math.max(1, Math.min(400, options.retentionDays ?? 91));
    this.#limitBytes = options.limitBytes ?? 200 * 1024 * 1024;
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
    const lost = this.#lost === 0 ? '' : `; ${this.#lost} buckets of five minutes are lost`;
    return this.#writeError === null ? this.#readError : this.#writeError + lost;
  }

  /** Start of the oldest day that is kept; null without any. */
  get oldestMs(): number | null {
    const oldest = [...this.#files.keys()].sort()[0];
    return oldest === undefined ? null : Date.parse(oldest.slice(0, 10));
  }

  /** Looks what there is. Never throws: without a directory budgets are kept in memory, and `error` says why. */
  async open(): Promise<void> {
    try {
      await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    } catch (error) {
      this.#writeError = said(error);
    }
    try {
      for (const name of await readdir(this.#directory)) {
        if (!DAY_FILE.test(name) || Number.isNaN(Date.parse(name.slice(0, 10)))) continue;
        const { size } = await stat(join(this.#directory, name));
        this.#files.set(name, size);
        this.#restorable.set(name, size);
      }
    } catch (error) {
      this.#readError = said(error);
    }
  }

  /** Day by day; a file that cannot be read costs its day. */
  async load(sink: RestoreSink): Promise<void> {
    for (const name of [...this.#restorable.keys()].sort()) {
      try {
        const whole = await this.#read(name);
        const file = whole.subarray(0, this.#restorable.get(name));
        const { damagedBytes, wholeBytes } = await decodeDay(file, Date.parse(name.slice(0, 10)) / DAY_MS, sink);
        const bytes = damagedBytes + file.length - wholeBytes;
        if (bytes > 0) this.damage.push({ file: name, bytes });
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

  async close(): Promise<void> {
    await this.#writing;
    if (this.#waiting.length > 0) await this.#write();
    await this.#leave();
  }

  async #write(): Promise<void> {
    this.#busySinceMs = performance.now();
    try {
      for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
        const file = await this.#fileOf(Math.floor(next.bucket / BUCKETS_PER_DAY));
        const frames = encodeBucket(next, file.names);
        // May be shifted out meanwhile, by more that came.
        await writeAll(file.handle, frames, file.bytes);
        if (this.#waiting[0] === next) this.#waiting.shift();
        file.bytes += frames.length;
        this.#files.set(nameOf(file.day), file.bytes);
      }
      await this.#current?.handle.datasync();
      await this.#forgetOldest();
      this.#writeError = null;
      this.#lost = 0;
    } catch (error) {
      this.#writeError = said(error);
      // Whatever was half written is cut away when the file is opened again.
      await this.#leave().catch(() => undefined);
    } finally {
      this.#busySinceMs = null;
    }
  }

  async #fileOf(day: number): Promise<DayFile> {
    if (this.#current?.day === day) return this.#current;
    await this.#leave();
    const name = nameOf(day);
    const isNew = !this.#files.has(name);
    const { names, wholeBytes } = readNames(isNew ? Buffer.alloc(0) : await this.#read(name));
    const before = this.#restorable.get(name);
    if (before !== undefined) this.#restorable.set(name, Math.min(before, wholeBytes));
    const { O_RDWR, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
    const handle = await open(join(this.#directory, name), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
    try {
      await handle.truncate(wholeBytes);
    } catch (error) {
      await handle.close();
      throw error;
    }
    this.#current = { day, handle, names, bytes: wholeBytes };
    this.#files.set(name, wholeBytes);
    if (isNew) await syncDirectory(this.#directory);
    return this.#current;
  }

  async #leave(): Promise<void> {
    const left = this.#current;
    this.#current = null;
    await left?.handle.close();
  }

  async #forgetOldest(): Promise<void> {
    const current = this.#current === null ? '' : nameOf(this.#current.day);
    const others = [...this.#files.keys()].filter((name) => name !== current).sort();
    for (const name of others) {
      if (this.#files.size <= this.#retentionDays && this.bytes <= this.#limitBytes) return;
      await rm(join(this.#directory, name), { force: true });
      this.#files.delete(name);
    }
  }

  async #read(name: string): Promise<Buffer> {
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
    const handle = await open(join(this.#directory, name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    try {
      const found = await handle.stat();
      if (!found.isFile()) throw new Error('not a regular file');
      if (found.size > MOST_FILE_BYTES) throw new Error(`larger than ${MOST_FILE_BYTES} bytes`);
      return await handle.readFile();
    } finally {
      await handle.close();
    }
  }
}

function nameOf(day: number): string {
  return `${new Date(day * DAY_MS).toISOString().slice(0, 10)}.slo`;
}

async function writeAll(handle: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

function said(error: unknown): string {
  return (error as Error).message;
}
