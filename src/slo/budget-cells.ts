/**
 * The last ten minutes of one objective in cells of ten seconds: finer than buckets, for short windows. It has what was added
 * since it began and nothing else; further back, and after a clock that was set back by more, the buckets answer.
 */
import type { Amounts } from './buckets.js';
import type { Result } from './types.js';

const CELL_MS = 10_000;
const CELLS = 64;
const STRIDE = 3;
const COLUMN: Readonly<Record<Result, number | null>> = { good: 0, bad: 1, excluded: 2, unknown: null };

export class BudgetCells {
  readonly #cells = new Float32Array(CELLS * STRIDE);
  /** Number of the newest cell. */
  #head = -1;
  /** Complete from here on. */
  #sinceMs = 0;

  add(fromMs: number, toMs: number, result: Result): void {
    const last = Math.floor(toMs / CELL_MS);
    this.#moveTo(last, fromMs);
    const column = COLUMN[result];
    if (column === null) return;
    let at = Math.max(fromMs, (this.#head - CELLS + 1) * CELL_MS);
    while (at < toMs) {
      const cell = Math.floor(at / CELL_MS);
      const end = Math.min(toMs, (cell + 1) * CELL_MS);
      const index = (cell % CELLS) * STRIDE + column;
      this.#cells[index] = (this.#cells[index] ?? 0) + (end - at) / 1000;
      at = end;
    }
  }

  /** The sums since then; false where the cells do not reach back that far. */
  sumSince(fromMs: number, nowMs: number, into: Amounts): boolean {
    if (this.#head < 0 || fromMs < this.#sinceMs) return false;
    const first = Math.floor(fromMs / CELL_MS);
    if (first <= this.#head - CELLS) return false;
    const last = Math.min(this.#head, Math.floor(nowMs / CELL_MS));
    const part = 1 - (fromMs / CELL_MS - first);
    for (let cell = first; cell <= last; cell += 1) {
      const base = (cell % CELLS) * STRIDE;
      const share = cell === first ? part : 1;
      into.good += (this.#cells[base] ?? 0) * share;
      into.bad += (this.#cells[base + 1] ?? 0) * share;
      into.excluded += (this.#cells[base + 2] ?? 0) * share;
    }
    return true;
  }

  #moveTo(cell: number, fromMs: number): void {
    if (this.#head < 0 || cell <= this.#head - CELLS) {
      this.#cells.fill(0);
      this.#head = cell;
      this.#sinceMs = fromMs;
      return;
    }
    if (cell - this.#head >= CELLS) this.#cells.fill(0);
    else
      for (let at = this.#head + 1; at <= cell; at += 1)
        this.#cells.fill(0, (at % CELLS) * STRIDE, (at % CELLS) * STRIDE + STRIDE);
    this.#head = Math.max(this.#head, cell);
  }
}
