/** What a measurement gives: figures that goals are held to, or the reason why there are none. Pure. */

/** One figure. `id` names a check in `goals.ts`, or is only shown. */
export interface Figure {
  readonly id: string;
  /** What is held to the goal: a ratio, milliseconds, a count … */
  readonly value: number;
  /** The same and where it comes from, in words: `34.1 ms against 27.8 ms`. */
  readonly shown: string;
  readonly growth?: number;
}

export interface Missing {
  readonly id: string;
  readonly reason: string;
  /** It was tried, and the subject could not do it. */
  readonly missed?: boolean;
}

export interface Result {
  readonly figures: readonly Figure[];
  readonly missing?: readonly Missing[];
  /** For how they grow with the number of guests. */
  readonly costs?: readonly {
    readonly what: 'cycle' | 'scrape' | 'rss';
    readonly count: number;
    readonly cost: number;
  }[];
  /** What else was seen, for the page. */
  readonly notes?: readonly string[];
  /** Every single value, by name. */
  readonly raw: Readonly<Record<string, readonly number[]>>;
}

/** Something that a measurement needs is not here: a compiler, root, a peer's package. */
export class NotRun extends Error {}

export interface Measurement {
  readonly name: string;
  /** Ids that it gives; all of them are `not run` when it cannot run. */
  readonly gives: readonly string[];
  run(options: RunOptions): Promise<Result>;
}

export interface RunOptions {
  /** For continuous integration: fewer guests, fewer rounds. */
  readonly short: boolean;
}
