/**
 * Planned maintenance: which windows are open at a moment, and what they cover. A generation, an instant and a guest in;
 * pure but for the time zone data. The windows are those of schedules in every respect ({@link schedulerOf}): half-open,
 * on the wall clock of their zone, computed from the clock alone. Time in an open window is `excluded` for the objectives
 * that it covers; what the guests are given does not change.
 */
import { type MatchTest, matchTest } from './match.js';
import { schedulerOf } from './schedule.js';
import type { DomainAttributes, Generation, MaintenanceWindow } from './types.js';

/** What decides whether a window covers a guest. */
export interface MaintainedGuest {
  readonly className: string;
  readonly attributes: DomainAttributes;
}

/** Patterns are taken apart once a window, not once a guest and cycle. */
const TESTS = new WeakMap<MaintenanceWindow, MatchTest>();

/** The windows that are open, in the order of the policy. */
export function openMaintenance(generation: Generation, nowMs: number): readonly MaintenanceWindow[] {
  return schedulerOf(generation.maintenance).open(nowMs);
}

/** The first instant after `afterMs` at which a window opens or closes, or where it is worth looking; null for never. */
export function nextMaintenanceBoundary(generation: Generation, afterMs: number): number | null {
  return schedulerOf(generation.maintenance).nextBoundary(afterMs);
}

/** The first of the open windows that covers the objective of the guest; null when its time counts. */
export function isExcluded(
  open: readonly MaintenanceWindow[],
  { className, attributes }: MaintainedGuest,
  sli: string,
): MaintenanceWindow | null {
  for (const window of open) {
    if (window.classes !== null && !window.classes.includes(className)) continue;
    if (window.slis !== null && !window.slis.includes(sli)) continue;
    if (testOf(window)(attributes)) return window;
  }
  return null;
}

function testOf(window: MaintenanceWindow): MatchTest {
  let test = TESTS.get(window);
  if (test === undefined) {
    test = window.match === null ? () => true : matchTest(window.match);
    TESTS.set(window, test);
  }
  return test;
}
