/**
 * Whether a disk ran at its limit over the last round: pure. QEMU counts nothing that its throttle holds back, so this
 * is judged from the rate and the limit, and is null where they do not tell.
 * Source: QEMU's docs/throttle.txt (leaky bucket, bursts, iops-size).
 */
import type { DiskThrottle } from '../domains/types.js';
import type { DiskRates } from '../snapshot/signals.js';

/** A mean over a round reaches the limit but for requests at its two ends. */
export const REACHED_SHARE = 0.95;
/** With room for a burst, a rate above this is neither held at the limit nor free of it for certain. */
const HELD = 1.05;

/** `rates`: of every disk that shares the limit. */
export function isAtLimit(fields: DiskThrottle['fields'], rates: readonly DiskRates[]): boolean | null {
  const sum = (of: (rates: DiskRates) => number): number => rates.reduce((total, one) => total + of(one), 0);
  const read = { bytes: sum((one) => one.readBytesPerSecond), iops: sum((one) => one.readIops) };
  const write = { bytes: sum((one) => one.writeBytesPerSecond), iops: sum((one) => one.writeIops) };
  const used = { read, write, total: { bytes: read.bytes + write.bytes, iops: read.iops + write.iops } };
  const requestBytes = fields.size_iops_sec ?? 0;
  const verdicts: (boolean | null)[] = [];
  for (const way of ['total', 'read', 'write'] as const) {
    const { bytes, iops } = used[way];
    verdicts.push(judge(fields[`${way}_bytes_sec`], fields[`${way}_bytes_sec_max`], bytes, bytes));
    // A request larger than size_iops_sec counts as several: how many lies between these two.
    const parts = requestBytes > 0 ? bytes / requestBytes : 0;
    verdicts.push(judge(fields[`${way}_iops_sec`], fields[`${way}_iops_sec_max`], Math.max(iops, parts), iops + parts));
  }
  if (verdicts.includes(true)) return true;
  return verdicts.includes(null) ? null : false;
}

/** `least`, `most`: the bounds of the rate as the throttle counts it. */
function judge(limit = 0, burst = 0, least: number, most: number): boolean | null {
  if (limit <= 0 || most < limit * REACHED_SHARE) return false;
  if (least < limit * REACHED_SHARE) return null;
  if (burst <= limit || least >= burst * REACHED_SHARE) return true;
  return most <= limit * HELD ? true : null;
}
