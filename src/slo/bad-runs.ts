/**
 * When an objective was bad, exactly: a bounded list of runs. A pause of less than a minute does not end a run, so that a
 * guest that flaps leaves an incident behind and not a list of slices.
 */
export interface BadRun {
  /** A whole second. */
  readonly fromMs: number;
  readonly toMs: number;
  /** Of them in between. */
  readonly badSeconds: number;
}

const MOST_RUNS = 32;
const PAUSE_MS = 60_000;

export class BadRuns {
  /** As they came, the newest last. */
  #runs: readonly BadRun[] = [];
  /** By start. */
  readonly #unwritten = new Set<number>();

  add(fromMs: number, toMs: number): void {
    const badSeconds = (toMs - fromMs) / 1000;
    const last = this.#runs.at(-1);
    if (last !== undefined && fromMs >= last.fromMs - 1000 && fromMs - last.toMs < PAUSE_MS) {
      const grown = { fromMs: last.fromMs, toMs: Math.max(last.toMs, toMs), badSeconds: last.badSeconds + badSeconds };
      this.#runs = this.#runs.with(-1, grown);
      this.#unwritten.add(grown.fromMs);
      return;
    }
    const run = { fromMs: Math.floor(fromMs / 1000) * 1000, toMs, badSeconds };
    this.#push(run);
    this.#unwritten.add(run.fromMs);
  }

  /** At most so many that are new or have grown since they were taken last. */
  takeUnwritten(most: number): BadRun[] {
    const taken: BadRun[] = [];
    for (const fromMs of this.#unwritten) {
      if (taken.length >= most) break;
      this.#unwritten.delete(fromMs);
      const run = this.#runs.find((one) => one.fromMs === fromMs);
      if (run !== undefined) taken.push(run);
    }
    return taken;
  }

  get hasUnwritten(): boolean {
    return this.#unwritten.size > 0;
  }

  /** A record of a run that has grown since comes again; the later one holds. */
  restore(run: BadRun): void {
    const at = this.#runs.findIndex(({ fromMs }) => fromMs === run.fromMs);
    if (at >= 0) {
      if ((this.#runs[at]?.toMs ?? 0) <= run.toMs) this.#runs = this.#runs.with(at, run);
      return;
    }
    const before = this.#runs.findIndex(({ fromMs }) => fromMs > run.fromMs);
    if (before < 0) this.#push(run);
    else if (this.#runs.length < MOST_RUNS) this.#runs = this.#runs.toSpliced(before, 0, run);
  }

  /** The oldest first. Never changed once given. */
  list(): readonly BadRun[] {
    return this.#runs;
  }

  #push(run: BadRun): void {
    this.#runs = [...this.#runs.slice(-(MOST_RUNS - 1)), run];
  }
}
