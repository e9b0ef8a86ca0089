/**
 * Looks at files that may hang: a disk that does not answer, a server that is dead. One look at a time, each with a
 * deadline. Node has four threads for such calls, and a hung one keeps its thread until the kernel lets go; so while
 * one hangs there is no other, and every question is answered "cannot be told now".
 */
import type { BigIntStats } from 'node:fs';
import { lstat, readFile, readlink, stat } from 'node:fs/promises';
import { deviceNumber } from './device-number.js';

export interface FileFacts {
  readonly kind: 'file' | 'directory' | 'link' | 'block' | 'other';
  /** The file system's, st_dev. */
  readonly device: string;
  /** Of a device node, st_rdev. */
  readonly nodeDevice: string;
  readonly sizeBytes: number;
}

export type Look<T> =
  | { readonly ok: true; readonly value: T }
  /** `passing`: may be otherwise the next time. */
  | { readonly ok: false; readonly reason: string; readonly passing: boolean };

/** What is asked of the host's files. */
export interface Files {
  lstat(path: string): Promise<Look<FileFacts>>;
  stat(path: string): Promise<Look<FileFacts>>;
  readlink(path: string): Promise<Look<string>>;
  readText(path: string): Promise<Look<string>>;
}

export const NOT_NOW = {
  ok: false,
  reason: 'cannot be told now: a file system does not answer',
  passing: true,
} as const;

export class BoundedFiles implements Files {
  readonly #deadlineMs: number;
  #turn: Promise<unknown> = Promise.resolve();
  #hung = false;

  constructor(deadlineMs = 2000) {
    this.#deadlineMs = deadlineMs;
  }

  lstat(path: string): Promise<Look<FileFacts>> {
    return this.#inTurn(async () => fileFacts(await lstat(path, { bigint: true })));
  }

  stat(path: string): Promise<Look<FileFacts>> {
    return this.#inTurn(async () => fileFacts(await stat(path, { bigint: true })));
  }

  readlink(path: string): Promise<Look<string>> {
    return this.#inTurn(() => readlink(path));
  }

  readText(path: string): Promise<Look<string>> {
    return this.#inTurn(() => readFile(path, 'utf8'));
  }

  #inTurn<T>(call: () => Promise<T>): Promise<Look<T>> {
    const look = this.#turn.then(() => this.#look(call));
    this.#turn = look;
    return look;
  }

  async #look<T>(call: () => Promise<T>): Promise<Look<T>> {
    if (this.#hung) return NOT_NOW;
    const answer = call().then(
      (value): Look<T> => ({ ok: true, value }),
      (error: NodeJS.ErrnoException): Look<T> => ({ ok: false, reason: reasonOf(error), passing: true }),
    );
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<typeof NOT_NOW>((resolve) => {
      timer = setTimeout(resolve, this.#deadlineMs, NOT_NOW);
    });
    const first = await Promise.race([answer, late]);
    clearTimeout(timer);
    if (first === NOT_NOW) {
      this.#hung = true;
      void answer.then(() => {
        this.#hung = false;
      });
    }
    return first;
  }
}

function fileFacts(stats: BigIntStats): FileFacts {
  return {
    kind: kindOf(stats),
    device: deviceNumber(stats.dev),
    nodeDevice: deviceNumber(stats.rdev),
    sizeBytes: Number(stats.size),
  };
}

function kindOf(stats: BigIntStats): FileFacts['kind'] {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  if (stats.isSymbolicLink()) return 'link';
  return stats.isBlockDevice() ? 'block' : 'other';
}

function reasonOf({ code, message }: NodeJS.ErrnoException): string {
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'no such file';
  return code === undefined ? message : `cannot be looked at: ${code}`;
}
