/** The stretches of time that budgets and burn rates look back on. Calendar months are UTC's. */
import type { Objective } from '../policy/types.js';

/** No window is longer: for so many days the store keeps history, within the bytes that it may have. */
export const KEPT_DAYS = 90;

/** The windows of multi-window burn rate alerts (Google's SRE workbook, chapter 5, and Sloth). */
export const BURN_SECONDS = {
  '5m': 300,
  '30m': 1800,
  '1h': 3600,
  '2h': 7200,
  '6h': 21_600,
  '1d': 86_400,
  '3d': 259_200,
} as const;

export type BurnWindowName = keyof typeof BURN_SECONDS;
export const BURN_WINDOWS = Object.keys(BURN_SECONDS) as readonly BurnWindowName[];

export interface WindowBounds {
  readonly fromMs: number;
  /** Length of the whole window; of a month, with what is still to come. */
  readonly seconds: number;
  /** Of a month: from now to its end. A rolling window has no future. */
  readonly toComeSeconds: number;
}

export function windowBounds(window: Objective['window'], nowMs: number): WindowBounds {
  if (window.kind === 'rolling') {
    return { fromMs: nowMs - window.seconds * 1000, seconds: window.seconds, toComeSeconds: 0 };
  }
  const now = new Date(nowMs);
  const fromMs = Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), 1);
  const endMs = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1);
  return { fromMs, seconds: (endMs - fromMs) / 1000, toComeSeconds: (endMs - nowMs) / 1000 };
}
