/** The keys of `disk.limit` and how they are written. */
import { duration, integer, oneOf, rate } from '../policy/value-types.js';
import type { KeySpec } from './control.js';

/** QEMU's ceiling for a throttle value (qemu/throttle.h, THROTTLE_VALUE_MAX) is 1e15; a billion is plenty. */
const operationsSchema = integer(1, 1_000_000_000, 'write a whole number of operations per second, such as 8000');

const bytes = (key: string, summary: string, example: string): KeySpec => ({
  key,
  schema: rate,
  summary,
  unit: 'bytes per second',
  range: '1B/s or more',
  example,
});

const operations = (key: string, summary: string, example: string): KeySpec => ({
  key,
  schema: operationsSchema,
  summary,
  unit: 'operations per second',
  range: '1–1000000000',
  example,
});

export const DISK_LIMIT_KEYS: readonly KeySpec[] = [
  bytes('disk.limit.read', 'Bytes read per second from each disk', '400MiB/s'),
  bytes('disk.limit.write', 'Bytes written per second to each disk', '200MiB/s'),
  bytes('disk.limit.total', 'Bytes read and written per second; not beside read or write', '500MiB/s'),
  operations('disk.limit.iops', 'Operations per second; not beside read-iops or write-iops', '8000'),
  operations('disk.limit.read-iops', 'Read operations per second', '6000'),
  operations('disk.limit.write-iops', 'Write operations per second', '2000'),
  bytes('disk.limit.burst.read', 'Bytes read per second during a burst', '800MiB/s'),
  bytes('disk.limit.burst.write', 'Bytes written per second during a burst', '400MiB/s'),
  bytes('disk.limit.burst.total', 'Bytes read and written per second during a burst', '1GiB/s'),
  operations('disk.limit.burst.iops', 'Operations per second during a burst', '16000'),
  operations('disk.limit.burst.read-iops', 'Read operations per second during a burst', '12000'),
  operations('disk.limit.burst.write-iops', 'Write operations per second during a burst', '4000'),
  {
    key: 'disk.limit.burst.for',
    schema: duration('1s', '24h'),
    summary: 'How long a burst may last',
    unit: 'duration',
    range: '1s–24h',
    example: '30s',
  },
  {
    key: 'disk.via',
    schema: oneOf('auto', 'qemu', 'cgroup'),
    summary: "QEMU's throttle groups (each disk) or the cgroup (each device)",
    unit: 'word',
    range: 'auto, qemu, cgroup; cgroup knows neither total, iops nor burst',
    example: 'auto',
  },
];
