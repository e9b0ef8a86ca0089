/**
 * The arithmetic of an error budget, for one objective and one window.
 *
 * What may be bad is a share of the time of which anything is *known*, not of the window's whole length: unknown time would
 * otherwise bring allowance as if it had been good. For a rolling window this is what Sloth's rules compute from the
 * counters (1 − error ratio ÷ allowed ratio). A month is judged when it is over, so that what is still to come of it counts as
 * known for a guest that is there: one bad minute on the first of a month has not spent the month.
 */

/** Seconds over a window. */
export interface Totals {
  readonly good: number;
  readonly bad: number;
  readonly unknown: number;
  readonly excluded: number;
}

/**
 * 1: untouched. 0: spent. Negative: overspent. While nothing is known nothing is spent.
 * `of`: share that must be good, between 0 and 1. `toComeSeconds`: of a month, times the guests that are there.
 */
export function remainingRatio(totals: Pick<Totals, 'good' | 'bad'>, of: number, toComeSeconds: number): number {
  const allowed = (1 - of) * (totals.good + totals.bad + toComeSeconds);
  if (totals.bad <= 0) return 1;
  return 1 - totals.bad / allowed;
}

/** How fast the budget is being spent: 1 lasts exactly the window. Null while nothing is known. */
export function burnRate(totals: Pick<Totals, 'good' | 'bad'>, of: number): number | null {
  const known = totals.good + totals.bad;
  return known > 0 ? totals.bad / known / (1 - of) : null;
}
