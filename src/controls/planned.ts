/** Keys of parts that are not built yet: validated, and nothing follows from them. */
import { duration, flag } from '../policy/value-types.js';
import type { KeySpec } from './control.js';

/** Keys of planned parts that set nothing. */
export const PLANNED_PROMISES: readonly KeySpec[] = [
  {
    key: 'disk.latency',
    schema: duration('10us', '60s'),
    summary: 'Bound of the disk.latency objective; throttles nothing',
    unit: 'duration',
    range: '10us–60s',
    example: '10ms',
  },
  {
    key: 'disk.histogram',
    schema: flag,
    summary: "Measure disk latency by QEMU's histograms (marks the guest as tainted)",
    unit: 'true or false',
    range: 'true, false',
    example: 'false',
  },
];
