/** Work over many domains without keeping the event loop from its other work: a pause after every few milliseconds. */
const SLICE_MS = 5;

export async function inSlices<T>(items: Iterable<T>, work: (item: T) => void): Promise<void> {
  const pace = new Pace();
  for (const item of items) {
    work(item);
    if (pace.isDue) await pace.rest();
  }
}

/** Goes on to the end of work that says, by a `yield`, where it may be left for a moment; gives what came of it. */
export async function finishInSlices<T>(work: Iterator<unknown, T>): Promise<T> {
  const pace = new Pace();
  for (let step = work.next(); ; step = work.next()) {
    if (step.done === true) return step.value;
    if (pace.isDue) await pace.rest();
  }
}

/** For work that is no list: `if (pace.isDue) await pace.rest()`. */
export class Pace {
  readonly #sliceMs: number;
  #sinceMs = performance.now();

  constructor(sliceMs = SLICE_MS) {
    this.#sliceMs = sliceMs;
  }

  get isDue(): boolean {
    return performance.now() - this.#sinceMs >= this.#sliceMs;
  }

  async rest(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#sinceMs = performance.now();
  }
}
