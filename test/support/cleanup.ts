/**
 * What has been started and must go again, whatever happens: steps are undone newest first, each with its own failure,
 * at the end of a test file, of the demo, or on a signal.
 */

export class Cleanup {
  readonly #steps: { readonly label: string; readonly undo: () => void | Promise<void> }[] = [];
  #running: Promise<readonly Error[]> | null = null;

  /** True once the clean-up has begun: nothing new should be started. */
  get begun(): boolean {
    return this.#running !== null;
  }

  defer(label: string, undo: () => void | Promise<void>): void {
    this.#steps.push({ label, undo });
  }

  /** Undoes everything once; a second call waits for the first. Gives the failures. */
  run(): Promise<readonly Error[]> {
    this.#running ??= this.#undoAll();
    return this.#running;
  }

  async #undoAll(): Promise<readonly Error[]> {
    const failures: Error[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step.undo();
      } catch (error) {
        failures.push(new Error(`${step.label}: ${error instanceof Error ? error.message : String(error)}`));
      }
    }
    return failures;
  }
}

const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
export type StopSignal = keyof typeof EXIT_CODES;

/**
 * Runs `stop` on the first SIGINT, SIGTERM or SIGHUP and then exits; later signals change nothing (npm passes on a
 * Ctrl-C that the terminal has delivered already). Gives the function that takes the handlers away.
 */
export function stopOnSignals(stop: (signal: StopSignal) => Promise<void>): () => void {
  let stopping = false;
  const handlers = (Object.keys(EXIT_CODES) as StopSignal[]).map((name) => {
    const handler = (): void => {
      if (stopping) return;
      stopping = true;
      stop(name).then(
        () => process.exit(EXIT_CODES[name]),
        (error: unknown) => {
          console.error(error);
          process.exit(1);
        },
      );
    };
    process.on(name, handler);
    return { name, handler };
  });
  return () => {
    for (const { name, handler } of handlers) process.off(name, handler);
  };
}
