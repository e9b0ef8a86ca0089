/**
 * Files of our own that must survive a crash: written beside the old one, fsynced, renamed over it, and the directory
 * fsynced. A reader sees the old bytes or the new ones.
 */
import { link, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

export async function writeDurably(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.new`;
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } catch (error) {
    // A full disk must not keep the half of a file.
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}

/** Names of files made, renamed or removed in it outlive a crash from now on. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Null when the file does not exist; other errors are thrown. */
export async function readIfPresent(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/**
 * Gives a damaged file a second name, so that a human can look at it; the caller then writes a good one over the first.
 * At no moment is there no file: a crash in between finds the damaged one again.
 */
export async function setAside(path: string, nowMs: number): Promise<string> {
  const aside = `${path}.damaged-${new Date(nowMs).toISOString().replaceAll(/[-:.]/g, '')}`;
  await link(path, aside);
  return aside;
}
