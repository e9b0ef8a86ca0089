/** A figure against the bound of an objective: pure. What is no number judges nothing. */
import type { SliObjective, Verdict } from './types.js';

/** Sums of fractions of a second end a hair beside what was meant. */
const HAIR = 1e-9;

/** Of one core. Below are single turns of other threads, of some milliseconds each. */
export const NEGLIGIBLE_CORES = 0.01;

/** `share`: of what was promised, 0 to 1; null: not known. */
export function reaches(share: number | null, { atLeast }: SliObjective): Verdict {
  if (share === null || atLeast === undefined || !Number.isFinite(share)) return 'unknown';
  return share >= atLeast - HAIR ? 'good' : 'bad';
}

/** `figure`: a share of time, or seconds, as the SLI's bound is one or the other; null: not known. */
export function staysWithin(figure: number | null, objective: SliObjective): Verdict {
  const bound = mostOf(objective);
  if (figure === null || bound === null || Number.isNaN(figure)) return 'unknown';
  return figure <= bound * (1 + HAIR) + HAIR ? 'good' : 'bad';
}

/** The `at-most` of an objective as a number, a duration in seconds. */
export function mostOf({ atMost }: SliObjective): number | null {
  if (atMost === undefined) return null;
  return typeof atMost === 'number' ? atMost : atMost.seconds;
}

/** Of several disks or interfaces: one that is bad makes the slice bad, one that is not known makes it unknown. */
export function worstOf(verdicts: readonly Verdict[]): Verdict {
  if (verdicts.includes('bad')) return 'bad';
  return verdicts.includes('unknown') ? 'unknown' : 'good';
}

/** The least of the figures that are there; null when none is. */
export function leastOf(figures: readonly (number | null)[]): number | null {
  const known = figures.filter((figure) => figure !== null);
  return known.length === 0 ? null : Math.min(...known);
}
