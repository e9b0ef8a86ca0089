/** One writer per host: an flock on a file in the run directory, gone with the process however it ends. */
import { closeSync, constants, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { VirtsladError } from '../errors.js';
import { flockExclusive } from './libc.js';

export interface Lock {
  release(): void;
}

/** @throws VirtsladError RUN_LOCKED, STATE_DIRECTORY */
export function takeLock(runDir: string): Lock {
  makeDirectory(runDir, 0o755);
  const path = join(runDir, 'lock');
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  if (!flockExclusive(fd)) {
    const holder = readFileSync(path, 'utf8').trim();
    closeSync(fd);
    throw new VirtsladError({
      code: 'RUN_LOCKED',
      message: `another virtslad is the one writer of this host${holder === '' ? '' : ` (process ${holder})`}`,
      where: path,
      fix: 'use the running daemon (its commands go through its socket), or stop it first',
    });
  }
  ftruncateSync(fd, 0);
  writeSync(fd, `${process.pid}\n`, 0);
  return { release: () => closeSync(fd) };
}

/** @throws VirtsladError STATE_DIRECTORY */
export function makeDirectory(path: string, mode: number): void {
  try {
    mkdirSync(path, { recursive: true, mode });
  } catch (error) {
    throw new VirtsladError(
      {
        code: 'STATE_DIRECTORY',
        message: `cannot make the directory: ${(error as Error).message}`,
        where: path,
        fix: 'run virtslad as root, or point state-dir and run-dir to directories that it may make',
      },
      { cause: error },
    );
  }
}
