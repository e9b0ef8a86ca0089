/** How the objectives of a guest or a class stand: what snapshots carry. */
import type { Objective } from '../policy/types.js';
import type { BadRun } from './bad-runs.js';
import type { Totals } from './budget.js';
import type { BurnWindowName } from './windows.js';

/** 1: the budget lasts exactly the window. Null: nothing is known of that stretch. */
export type BurnRates = Readonly<Record<BurnWindowName, number | null>>;

interface BudgetState {
  readonly className: string;
  readonly sli: string;
  readonly of: number;
  readonly window: Objective['window'];
  /** Of a month: of the running one. */
  readonly windowSeconds: number;
  /** Over the window up to now. Of a class: sums over its guests. */
  readonly totals: Totals;
  /** 1: untouched; 0: spent; negative: overspent. */
  readonly remainingRatio: number;
  readonly burnRates: BurnRates;
}

export interface ObjectiveState extends BudgetState {
  /** Seconds by result since the process began; only ever rising. */
  readonly counters: Totals;
  /** The oldest first. */
  readonly badRuns: readonly BadRun[];
}

export interface ClassObjectiveState extends BudgetState {
  /** Guests that were judged in the last minutes. */
  readonly guests: number;
}
