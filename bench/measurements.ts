/** Every measurement, in the order in which they run. Those at one size are apart: each has a process of its own. */
import { arrivalMeasurement } from './arrival.js';
import { capErrorMeasurement } from './cap-error.js';
import { expositionMeasurement, scrapeAt } from './exposition.js';
import { memoryAt } from './memory.js';
import { editOn, editOnReal } from './policy-edit.js';
import type { Measurement } from './result.js';
import { stallsMeasurement } from './stalls.js';
import { startMeasurement } from './start.js';
import { steadyOn, steadyOnReal } from './steady-cycle.js';

export const MEASUREMENTS: readonly Measurement[] = [
  ...[100, 300, 600, 1000, 5000].map(steadyOn),
  ...[600, 1000].map(steadyOnReal),
  stallsMeasurement,
  expositionMeasurement,
  ...[600, 1000, 5000].map(scrapeAt),
  ...[600, 5000].flatMap((count) => [editOn(count, false), editOn(count, true)]),
  ...[false, true].map((quotas) => editOnReal(600, quotas)),
  arrivalMeasurement,
  capErrorMeasurement,
  startMeasurement,
  ...[0, 600, 1000, 5000].map(memoryAt),
];

/** For continuous integration: zero writes at rest, growth, stalls. */
export const SHORT_MEASUREMENTS: readonly Measurement[] = [...[200, 800].map(steadyOn), stallsMeasurement];
