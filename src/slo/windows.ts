/** The stretches of time that budgets and burn rates look back on. Calendar months are UTC's. */
import type { Objective } from '../policy/types.js';

/** The windows of multi-window burn rate alerts (Google's SRE workbook, chapter 5, and Sloth). */
export const BURN_WINDOWS = [
  { name: '5m', seconds: 300 },
  { name: '30m', seconds: 1800 },
  { name: '1h', seconds: 3600 },
  { name: '2h', seconds: 7200 },
  { name: '6h', seconds: 21_600 },
  { name: '1d', seconds: 86_400 },
  { name: '3d', seconds: 259_200 },
] as const;

export type BurnWindowName = (typeof BURN_WINDOWS)[number]['name'];

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
