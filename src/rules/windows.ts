/**
 * Over which times a spending of an error budget is looked at, and how fast it has to be for an alert: the multi-window
 * multi-burn-rate scheme of the SRE workbook ("Alerting on SLOs"), fitted to the window of an objective. Pure.
 *
 * A burn rate of 1 spends the budget exactly over the window. A pair of windows fires when the burn rate is at least its
 * factor over both: the long one says that it matters, the short one that it still goes on.
 */
import type { Objective } from '../policy/types.js';
import { BURN_SECONDS } from '../slo/windows.js';

const DAY = 86_400;

/** Sloth's windows: its recording rules have these, and its dashboards ask for them. */
export const SLOTH_WINDOWS: readonly number[] = Object.values(BURN_SECONDS);

export type Urgency = 'page' | 'ticket';

export interface AlertPair {
  readonly urgency: Urgency;
  readonly longSeconds: number;
  readonly shortSeconds: number;
  /** Burn rate from which it fires. At least 1. */
  readonly factor: number;
}

interface StandardPair extends AlertPair {
  /** Share of the budget that is spent when the pair fires after its long window. */
  readonly budgetShare: number;
}

/**
 * `factor` is the least that a pair asks for: over short windows of objectives the share of the budget alone would wake
 * somebody for a guest that keeps its promise.
 */
const STANDARD: readonly StandardPair[] = [
  { urgency: 'page', longSeconds: 3600, shortSeconds: 300, budgetShare: 0.02, factor: 3 },
  { urgency: 'page', longSeconds: 21_600, shortSeconds: 1800, budgetShare: 0.05, factor: 2 },
  { urgency: 'ticket', longSeconds: DAY, shortSeconds: 7200, budgetShare: 0.1, factor: 1 },
  { urgency: 'ticket', longSeconds: 3 * DAY, shortSeconds: 21_600, budgetShare: 0.1, factor: 1 },
];

/** Below these a rate has too few samples, even of a Prometheus that scrapes every few seconds. */
const LEAST_SHORT = 10;
const LEAST_LONG = 30;

/** Length of the objective's window. A calendar month is taken for 30 days: no rule can look back to its first. */
export function windowSeconds({ window }: Pick<Objective, 'window'>): number {
  return window.kind === 'rolling' ? window.seconds : 30 * DAY;
}

/**
 * The pairs that can fire, quickest first. Over a window under a day all shrink with it; a pair that looks back further
 * than the objective is left out, and so is one that would ask for more errors than there can be (of: 90%, factor 14.4).
 */
export function alertPairs(objective: Pick<Objective, 'window' | 'of'>): readonly AlertPair[] {
  const window = windowSeconds(objective);
  const pairs: AlertPair[] = [];
  let slowest: AlertPair | null = null;
  for (const standard of STANDARD) {
    const { urgency, budgetShare } = standard;
    const longSeconds = shrunk(standard.longSeconds, window, LEAST_LONG);
    const shortSeconds = shrunk(standard.shortSeconds, window, LEAST_SHORT);
    if (longSeconds > window) continue;
    slowest = { urgency, longSeconds, shortSeconds, factor: 1 };
    const factor = Number(Math.max(standard.factor, (budgetShare * window) / longSeconds).toPrecision(3));
    if (factor * budgetOf(objective) >= 1) continue;
    const same = pairs.some((pair) => pair.longSeconds === longSeconds && pair.urgency === urgency);
    if (!same) pairs.push({ urgency, longSeconds, shortSeconds, factor });
  }
  // A lax promise over a long time (of: 80%, a year): at least that its budget does not last is told.
  return pairs.length === 0 && slowest !== null ? [slowest] : pairs;
}

/** Share of the time that may be bad. Rounded, so that 1 − 0.999 reads 0.001. */
export function budgetOf({ of }: Pick<Objective, 'of'>): number {
  return Number((1 - of).toFixed(12));
}

/** Every window that the pairs look at, ascending. */
export function windowsOf(pairs: readonly AlertPair[]): readonly number[] {
  const all = pairs.flatMap(({ longSeconds, shortSeconds }) => [longSeconds, shortSeconds]);
  return [...new Set(all)].sort((a, b) => a - b);
}

function shrunk(seconds: number, window: number, least: number): number {
  return window >= DAY ? seconds : Math.max(least, Math.round((seconds * window) / DAY));
}
