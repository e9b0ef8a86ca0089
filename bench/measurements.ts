/** Every measurement, in the order in which they run. */
import { arrivalMeasurement } from './arrival.js';
import { capErrorMeasurement } from './cap-error.js';
import { expositionMeasurement } from './exposition.js';
import { memoryMeasurement } from './memory.js';
import { policyEditMeasurement } from './policy-edit.js';
import type { Measurement } from './result.js';
import { stallsMeasurement } from './stalls.js';
import { startMeasurement } from './start.js';
import { steadyCycleMeasurement } from './steady-cycle.js';

export const MEASUREMENTS: readonly Measurement[] = [
  steadyCycleMeasurement,
  stallsMeasurement,
  expositionMeasurement,
  policyEditMeasurement,
  arrivalMeasurement,
  capErrorMeasurement,
  startMeasurement,
  memoryMeasurement,
];
