/**
 * What a disk got against what its class lets it have: pure. Any one of its limits that it reaches is what holds it, so
 * what it got is measured by the promise that it came nearest to.
 */
import type { EffectiveClass } from '../policy/types.js';
import { REACHED_SHARE } from '../signals/disk-limit.js';
import type { DiskPromise, DiskSlice } from './types.js';

/** Keys of a class below `disk.limit.`, read by controls/disk-keys.ts. */
const KEYS = {
  read: 'readBytes',
  write: 'writeBytes',
  total: 'totalBytes',
  'read-iops': 'readIops',
  'write-iops': 'writeIops',
  iops: 'totalIops',
} as const satisfies Readonly<Record<string, keyof DiskPromise>>;

/** What a class lets each disk have, bursts left out; null: it limits none. */
export function diskPromise({ values }: Pick<EffectiveClass, 'values'>): DiskPromise | null {
  const amounts = Object.entries(KEYS).flatMap(([key, name]) => {
    const amount = values.get(`disk.limit.${key}`)?.value;
    return typeof amount === 'number' ? [[name, amount] as const] : [];
  });
  return amounts.length === 0 ? null : Object.fromEntries(amounts);
}

/** Requests add up to nine tenths of the time: hardly ever was there none under way. */
const ASKS_ALL_THE_TIME = 0.9;

/** Rates over the round as shares of their promises, those of reads, of writes and of both. */
function sharesOf({ promised, read, write, overSeconds }: DiskSlice) {
  const share = (amount: number, perSecond: number | undefined): number[] =>
    perSecond === undefined || perSecond <= 0 ? [] : [amount / overSeconds / perSecond];
  return {
    read: [...share(read.bytes, promised?.readBytes), ...share(read.requests, promised?.readIops)],
    write: [...share(write.bytes, promised?.writeBytes), ...share(write.requests, promised?.writeIops)],
    both: [
      ...share(read.bytes + write.bytes, promised?.totalBytes),
      ...share(read.requests + write.requests, promised?.totalIops),
    ],
  };
}

/** It ran at one of its own limits. */
export function reachedPromise(disk: DiskSlice): boolean {
  const { read, write, both } = sharesOf(disk);
  return Math.max(0, ...read, ...write, ...both) >= REACHED_SHARE;
}

/**
 * The least that was delivered of what it asked for all the time, at most 1; null when nothing is promised, or it did not
 * ask for more than it got. Reads are not held by a limit of writes; both together may be held by any.
 */
export function deliveredShare(disk: DiskSlice): number | null {
  const { read, write, both } = sharesOf(disk);
  const asks = (seconds: number) => seconds >= ASKS_ALL_THE_TIME * disk.overSeconds;
  const ways = [
    { asked: asks(disk.read.requestSeconds), of: [...read, ...both] },
    { asked: asks(disk.write.requestSeconds), of: [...write, ...both] },
    {
      asked: asks(disk.read.requestSeconds + disk.write.requestSeconds),
      of: both.length > 0 ? [...read, ...write, ...both] : [],
    },
  ];
  const shares = ways.flatMap(({ asked, of }) => (asked && of.length > 0 ? [Math.max(...of)] : []));
  return shares.length === 0 ? null : Math.min(1, ...shares);
}
