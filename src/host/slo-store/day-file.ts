/**
 * One day's file, open for writing: cut to what is whole, and added to. What has been written counts when fdatasync has said
 * so; until then a bucket is written again from its start, never added to what a failed write has left of it: amounts of
 * one bucket add up.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { ClosedBucket } from '../../slo/buckets.js';
import { Pace } from '../slices.js';
import { encodeBucket, readNames } from './day-codec.js';
import type { SeriesNames } from './names.js';

const { O_RDONLY, O_RDWR, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
const MOST_FILE_BYTES = 64 * 1024 * 1024;

export class DayFile {
  readonly day: number;
  readonly #handle: FileHandle;
  readonly #names: SeriesNames;
  /** On disk for certain. */
  bytes: number;

  /** `mostBytes`: what this process knows to be on disk, when it wrote the file before. */
  static async open(path: string, day: number, mostBytes = Number.POSITIVE_INFINITY): Promise<DayFile> {
    const found = (await readDayFile(path)) ?? Buffer.alloc(0);
    const { names, wholeBytes } = readNames(found.subarray(0, mostBytes));
    const handle = await open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
    try {
      await handle.truncate(wholeBytes);
    } catch (error) {
      await handle.close();
      throw error;
    }
    return new DayFile(day, handle, names, wholeBytes);
  }

  private constructor(day: number, handle: FileHandle, names: SeriesNames, bytes: number) {
    this.day = day;
    this.#handle = handle;
    this.#names = names;
    this.bytes = bytes;
  }

  /** All of them or, after an error, none: the file is to be opened again then. */
  async append(buckets: readonly ClosedBucket[]): Promise<void> {
    const pace = new Pace();
    let end = this.bytes;
    for (const bucket of buckets) {
      const frames = encodeBucket(bucket, this.#names);
      await writeAll(this.#handle, frames, end);
      end += frames.length;
      if (pace.isDue) await pace.rest();
    }
    await this.#handle.datasync();
    this.bytes = end;
  }

  /** False when somebody has removed it: what is written to it then is on no disk for long. */
  async isThere(): Promise<boolean> {
    return (await this.#handle.stat()).nlink > 0;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** Null when there is none; other errors are thrown. */
export async function readDayFile(path: string): Promise<Buffer | null> {
  let handle: FileHandle;
  try {
    handle = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  try {
    const found = await handle.stat();
    if (!found.isFile()) throw new Error('not a regular file');
    if (found.size > MOST_FILE_BYTES) throw new Error(`larger than ${MOST_FILE_BYTES} bytes`);
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

async function writeAll(handle: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}
