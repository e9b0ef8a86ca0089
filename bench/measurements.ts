/** Every measurement, in the order in which they run. */
import type { Measurement } from './result.js';
import { steadyCycleMeasurement } from './steady-cycle.js';

export const MEASUREMENTS: readonly Measurement[] = [steadyCycleMeasurement];
