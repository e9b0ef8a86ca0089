/** The log of writes that were tried: one JSON line each, kept to two files of 4 MiB, appended off the event loop. */
import { appendFile, mkdir, rename, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { HistoryEntry } from './types.js';

const MOST_BYTES = 4 * 1024 * 1024;

export class History {
  readonly #path: string;
  #pending: string[] = [];
  #writing: Promise<void> | null = null;
  /** Why the last append failed; history is a comfort and stops nothing. */
  error: string | null = null;

  constructor(stateDir: string) {
    this.#path = join(stateDir, 'history.jsonl');
  }

  add(entries: readonly HistoryEntry[]): void {
    for (const entry of entries) this.#pending.push(`${JSON.stringify(entry)}\n`);
    if (this.#pending.length > 0) this.#writing ??= this.#drain();
  }

  /** Resolves when all that was added is in the file, or could not be put there. */
  async flush(): Promise<void> {
    await this.#writing;
  }

  async #drain(): Promise<void> {
    try {
      await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 });
      while (this.#pending.length > 0) {
        const text = this.#pending.join('');
        this.#pending = [];
        await this.#rotate();
        await appendFile(this.#path, text, { mode: 0o600 });
      }
      this.error = null;
    } catch (error) {
      this.#pending = [];
      this.error = (error as Error).message;
    } finally {
      this.#writing = null;
    }
  }

  async #rotate(): Promise<void> {
    const size = await stat(this.#path).then(
      (found) => found.size,
      () => 0,
    );
    if (size > MOST_BYTES) await rename(this.#path, `${this.#path}.1`);
  }
}
