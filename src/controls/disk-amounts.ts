/**
 * The amounts of `disk.limit`: which key of a class is which field of QEMU's throttle and of io.max, which metric, and
 * how they read. Pure.
 */
import type { DiskThrottle, ThrottleField } from '../domains/types.js';
import type { EffectiveClass, KeyPath, Sourced } from '../policy/types.js';
import type { IoMax } from '../text/io-max.js';
import { formatDuration, formatRate } from '../units.js';
import type { Amount, ControlMetric } from './control.js';

export interface Kind {
  /** Below `disk.limit.` and `disk.limit.burst.` */
  readonly key: string;
  readonly field: ThrottleField;
  readonly ioMax: keyof IoMax | null;
  readonly metric: string;
  readonly help: string;
  /** `read 400MiB/s` */
  readonly words: (amount: number) => string;
}

const bytes = (name: string) => (amount: number) => `${name === '' ? '' : `${name} `}${formatRate(amount)}`;
const operations = (name: string) => (amount: number) => `${amount} ${name}iops`;

export const KINDS: readonly Kind[] = [
  {
    key: 'read',
    field: 'read_bytes_sec',
    ioMax: 'readBytes',
    metric: 'disk_limit_read_bytes_per_second',
    help: 'Limit of bytes read',
    words: bytes('read'),
  },
  {
    key: 'write',
    field: 'write_bytes_sec',
    ioMax: 'writeBytes',
    metric: 'disk_limit_write_bytes_per_second',
    help: 'Limit of bytes written',
    words: bytes('write'),
  },
  {
    key: 'total',
    field: 'total_bytes_sec',
    ioMax: null,
    metric: 'disk_limit_bytes_per_second',
    help: 'Limit of bytes read and written',
    words: bytes(''),
  },
  {
    key: 'iops',
    field: 'total_iops_sec',
    ioMax: null,
    metric: 'disk_limit_operations_per_second',
    help: 'Limit of operations',
    words: operations(''),
  },
  {
    key: 'read-iops',
    field: 'read_iops_sec',
    ioMax: 'readOperations',
    metric: 'disk_limit_read_operations_per_second',
    help: 'Limit of reads',
    words: operations('read '),
  },
  {
    key: 'write-iops',
    field: 'write_iops_sec',
    ioMax: 'writeOperations',
    metric: 'disk_limit_write_operations_per_second',
    help: 'Limit of writes',
    words: operations('write '),
  },
];

export const DISK_METRICS: readonly ControlMetric[] = KINDS.map(({ metric, help }) => ({
  name: metric,
  help: `${help} a second of each disk, +Inf without one`,
  labels: ['disk'],
}));

export interface AskedLimits {
  /** The first key that a class gives, for "asked at". */
  readonly asked: Sourced;
  readonly askedKey: KeyPath;
  readonly limits: ReadonlyMap<Kind, number>;
  readonly bursts: ReadonlyMap<Kind, number>;
  readonly burstSeconds: number;
}

/** Null when the class limits no disk. */
export function askedLimits({ values }: EffectiveClass): AskedLimits | null {
  const at = (prefix: string) =>
    KINDS.flatMap((kind) => {
      const value = values.get(`${prefix}${kind.key}`);
      return value === undefined ? [] : [{ kind, value }];
    });
  const limits = at('disk.limit.');
  const [first] = limits;
  if (first === undefined) return null;
  return {
    asked: first.value,
    askedKey: `disk.limit.${first.kind.key}`,
    limits: new Map(limits.map(({ kind, value }) => [kind, value.value as number])),
    bursts: new Map(at('disk.limit.burst.').map(({ kind, value }) => [kind, value.value as number])),
    burstSeconds: Math.floor((values.get('disk.limit.burst.for')?.value as number | undefined) ?? 1),
  };
}

/** QEMU's most for any of them (THROTTLE_VALUE_MAX), and libvirt's. */
const AMOUNT_MAX = 1e15;

/** The words of one that nobody could set; null when all can be. */
export function tooMuch({ limits, bursts }: AskedLimits): string | null {
  const over = [...limits, ...bursts].find(([, amount]) => amount > AMOUNT_MAX);
  return over === undefined ? null : `${over[0].words(over[1])} is more than QEMU counts, ${AMOUNT_MAX} a second`;
}

/** Keys that io.max cannot do: sums of reads and writes, and bursts. */
export function beyondIoMax({ limits, bursts }: AskedLimits): boolean {
  return bursts.size > 0 || [...limits.keys()].some(({ ioMax }) => ioMax === null);
}

/**
 * QEMU's `length` is the size of a bucket in seconds at the burst rate, and the bucket leaks at the limit while it is
 * filled: a burst lasts length × burst ÷ (burst − limit) (util/throttle.c). Whole seconds, never longer than asked for.
 */
export function bucketSeconds(burstSeconds: number, limit: number, burst: number): number {
  return Math.max(1, Math.floor((burstSeconds * (burst - limit)) / burst));
}

/** A bucket of a second is spent at once, at any rate. */
function burstWords(bucketSeconds: number, limit: number, burst: number): string {
  if (bucketSeconds <= 1 || burst <= limit) return ' at once';
  return ` for ${formatDuration(Number(((bucketSeconds * burst) / (burst - limit)).toFixed(1)))}`;
}

/** `read 400MiB/s, 8000 iops, burst 16000 iops for 30s`; `no limit`. */
export function throttleWords({ fields }: DiskThrottle): string {
  const limits = KINDS.flatMap(({ field, words }) => (fields[field] ? [words(fields[field])] : []));
  const bursts = KINDS.flatMap(({ field, words }) => {
    const burst = fields[`${field}_max` as ThrottleField];
    const bucket = fields[`${field}_max_length` as ThrottleField] ?? 1;
    return burst ? [`burst ${words(burst)}${burstWords(bucket, fields[field] ?? 0, burst)}`] : [];
  });
  return [...limits, ...bursts].join(', ') || 'no limit';
}

export function ioMaxWords(value: IoMax): string {
  return throttleWords(throttleFromIoMax(value));
}

export function throttleFromIoMax(value: IoMax): DiskThrottle {
  const fields: Partial<Record<ThrottleField, number>> = {};
  for (const { field, ioMax } of KINDS) {
    const amount = ioMax === null ? null : value[ioMax];
    if (amount !== null) fields[field] = amount;
  }
  return { fields, group: null };
}

/** One figure for each limit that is in force on a disk, and for those that are asked for and are not. */
export function figuresOf({ fields }: DiskThrottle, disk: string, asked: AskedLimits | null): Amount[] {
  return KINDS.filter((kind) => asked?.limits.has(kind) === true || fields[kind.field] !== undefined).map(
    ({ metric, field }) => ({ metric, labels: { disk }, value: fields[field] ?? null }),
  );
}
