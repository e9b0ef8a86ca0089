/** The arithmetic of the benchmark: medians, percentiles, and how a cost grows with the number of guests. Pure. */

/** Of an even number, the mean of the two in the middle. @throws for none */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle];
  if (upper === undefined) throw new Error('no values');
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

/** The smallest value that `share` (0–1) of all values do not exceed (nearest rank). @throws for none */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const value = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
  if (value === undefined) throw new Error('no values');
  return value;
}

export interface Cost {
  /** Guests. */
  readonly count: number;
  /** In any unit, over 0. */
  readonly cost: number;
}

/**
 * The exponent e of cost ∝ count^e, by least squares over the logarithms. Null for fewer than two counts, or a cost that
 * has no logarithm.
 */
export function growthExponent(costs: readonly Cost[]): number | null {
  const points = costs.map(({ count, cost }) => ({ x: Math.log(count), y: Math.log(cost) }));
  if (new Set(costs.map(({ count }) => count)).size < 2) return null;
  if (points.some(({ x, y }) => !Number.isFinite(x) || !Number.isFinite(y))) return null;
  const mean = (of: readonly number[]): number => of.reduce((sum, one) => sum + one, 0) / of.length;
  const meanX = mean(points.map(({ x }) => x));
  const meanY = mean(points.map(({ y }) => y));
  const above = points.reduce((sum, { x, y }) => sum + (x - meanX) * (y - meanY), 0);
  const below = points.reduce((sum, { x }) => sum + (x - meanX) ** 2, 0);
  return above / below;
}
