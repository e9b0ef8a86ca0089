/**
 * The entries of `history.jsonl` and of the older `history.jsonl.1`, oldest first. A line that is cut or damaged (a
 * crash while writing) is counted and left out.
 */
import { readFileSync } from 'node:fs';
import { VirtsladError } from '../errors.js';
import type { HistoryEntry } from '../reconcile/types.js';

export interface ReadHistory {
  readonly entries: readonly HistoryEntry[];
  readonly damaged: number;
}

/** Missing files are empty. Fails HISTORY_UNREADABLE. */
export function readHistory(path: string): ReadHistory {
  const lines = [`${path}.1`, path].flatMap((file) => read(file).split('\n')).filter((line) => line !== '');
  const entries = lines.map(parseEntry).filter((entry) => entry !== null);
  return { entries, damaged: lines.length - entries.length };
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return '';
    throw new VirtsladError(
      {
        code: 'HISTORY_UNREADABLE',
        message: `the history cannot be read (${code})`,
        where: path,
        fix: code === 'EACCES' ? 'run as root or as the user of the daemon' : 'check the state directory',
      },
      { cause: error },
    );
  }
}

function parseEntry(line: string): HistoryEntry | null {
  try {
    const entry = JSON.parse(line) as Partial<HistoryEntry> | null;
    const texts = [entry?.uuid, entry?.domain, entry?.control, entry?.key, entry?.to, entry?.why, entry?.outcome];
    const whole = typeof entry?.atMs === 'number' && texts.every((text) => typeof text === 'string');
    return whole ? (entry as HistoryEntry) : null;
  } catch {
    return null;
  }
}
