/** disk.latency: the promise that the disk.latency objective is held to where it gives no bound of its own. It sets nothing. */
import { duration } from '../policy/value-types.js';
import type { KeySpec } from './control.js';

export const diskLatency: KeySpec = {
  key: 'disk.latency',
  schema: duration('10us', '60s'),
  summary: 'Bound of the disk.latency objective, and one of the bounds of disk.histogram; throttles nothing',
  unit: 'duration',
  range: '10us–60s',
  example: '10ms',
};
