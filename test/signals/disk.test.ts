import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { DiskThrottle } from '../../src/domains/types.js';
import type { DiskCounters } from '../../src/host/libvirt/client.js';
import { accountDisks, type DisksAccount, type ReadDisk } from '../../src/signals/disk.js';
import type { DiskSignals } from '../../src/snapshot/signals.js';

const ZERO: DiskCounters = {
  readRequests: 0n,
  readBytes: 0n,
  readNs: 0n,
  writeRequests: 0n,
  writeBytes: 0n,
  writeNs: 0n,
  flushRequests: 0n,
  flushNs: 0n,
};

const FREE: DiskThrottle = { fields: {}, group: null };

function disk(target: string, counters: Partial<DiskCounters> | null, throttle: DiskThrottle | null = FREE): ReadDisk {
  return { target, throttle, counters: counters === null ? null : { ...ZERO, ...counters } };
}

/** The account after one reading every `everyMs`. */
function rounds(everyMs: number, ...readings: readonly (readonly ReadDisk[])[]): DisksAccount {
  let account: DisksAccount | null = null;
  for (const [index, disks] of readings.entries()) {
    account = accountDisks(account, { atMonotonicMs: index * everyMs, atMs: 1e12 + index * everyMs, disks });
  }
  return account ?? assert.fail('no readings');
}

function only(account: DisksAccount): DiskSignals {
  assert.equal(account.signals.length, 1);
  return account.signals[0] as DiskSignals;
}

test('counters are as QEMU has them; rates and latency are over the round', () => {
  const before = { readRequests: 1000n, readBytes: 4_096_000n, readNs: 2_000_000_000n };
  const after = {
    readRequests: 1600n,
    readBytes: 4_096_000n + 60n * 65_536n,
    readNs: 5_000_000_000n,
    flushRequests: 6n,
  };
  const first = only(rounds(60_000, [disk('vda', before)]));
  assert.deepEqual([first.counters.readSeconds, first.rates, first.limited], [2, null, null]);
  const { counters, rates, atMs, limited } = only(rounds(60_000, [disk('vda', before)], [disk('vda', after)]));
  assert.equal(counters.readRequests, 1600);
  assert.equal(atMs, 1e12 + 60_000);
  assert.deepEqual(rates, {
    overSeconds: 60,
    readIops: 10,
    writeIops: 0,
    flushIops: 0.1,
    readBytesPerSecond: 65_536,
    writeBytesPerSecond: 0,
    readLatencySeconds: 0.005,
    writeLatencySeconds: null,
    flushLatencySeconds: 0,
  });
  assert.equal(limited, false, 'there is no limit');
});

test('a disk plugged anew under an old name goes on with the counters of that name', () => {
  const used = disk('vdb', { readRequests: 500n });
  const gone = rounds(1000, [used], []);
  assert.deepEqual(gone.signals, []);
  const back = only(rounds(1000, [used], [], [disk('vdb', { readRequests: 20n })]));
  assert.equal(back.counters.readRequests, 500);
  assert.equal(back.rates, null);
  const next = only(
    rounds(1000, [used], [], [disk('vdb', { readRequests: 20n })], [disk('vdb', { readRequests: 25n })]),
  );
  assert.equal(next.counters.readRequests, 505);
  assert.equal(next.rates?.readIops, 5);
});

test('one that could not be read keeps its last reading, with the time of it, and its limit is unknown', () => {
  const throttle = { fields: { read_iops_sec: 100 }, group: null };
  const at = (requests: bigint): ReadDisk => disk('vda', { readRequests: requests }, throttle);
  const { atMs, rates, limited } = only(rounds(1000, [at(0n)], [at(100n)], [disk('vda', null, throttle)]));
  assert.deepEqual([atMs, rates?.readIops, limited], [1e12 + 1000, 100, null]);
});

test('one that was never read is not there', () => {
  assert.deepEqual(rounds(1000, [disk('vda', null)], [disk('vda', null)]).signals, []);
});

describe('at its limit', () => {
  /** Verdict after a round of ten seconds with these rises. */
  function limited(fields: DiskThrottle['fields'], rise: Partial<DiskCounters>): boolean | null {
    const throttle = { fields, group: null };
    return only(rounds(10_000, [disk('vda', {}, throttle)], [disk('vda', rise, throttle)])).limited;
  }

  test('from 95 % of the limit on', () => {
    assert.equal(limited({ read_iops_sec: 100 }, { readRequests: 1000n }), true);
    assert.equal(limited({ read_iops_sec: 100 }, { readRequests: 950n }), true);
    assert.equal(limited({ read_iops_sec: 100 }, { readRequests: 949n }), false);
    assert.equal(limited({ read_iops_sec: 100 }, { writeRequests: 1000n }), false, 'another way');
    assert.equal(limited({ write_bytes_sec: 1_000_000 }, { writeBytes: 10_000_000n, writeRequests: 3n }), true);
  });

  test('a total counts reads and writes together', () => {
    assert.equal(limited({ total_iops_sec: 100 }, { readRequests: 500n, writeRequests: 470n }), true);
    assert.equal(limited({ total_iops_sec: 100 }, { readRequests: 500n, writeRequests: 400n }), false);
    assert.equal(limited({ total_bytes_sec: 1000 }, { readBytes: 5000n, writeBytes: 5000n }), true);
  });

  test('with a burst: held at either rate is limited, in between cannot be told', () => {
    const fields = { read_iops_sec: 100, read_iops_sec_max: 400, read_iops_sec_max_length: 5 };
    assert.equal(limited(fields, { readRequests: 900n }), false);
    assert.equal(limited(fields, { readRequests: 1010n }), true, 'the burst is used up');
    assert.equal(limited(fields, { readRequests: 2500n }), null, 'part of the round was a burst');
    assert.equal(limited(fields, { readRequests: 3900n }), true, 'at the rate of the burst');
    assert.equal(limited({ ...fields, read_bytes_sec: 10 }, { readRequests: 2500n, readBytes: 100n }), true);
  });

  test('where large requests count as several, their number lies between two bounds', () => {
    const fields = { read_iops_sec: 100, size_iops_sec: 4096 };
    assert.equal(limited(fields, { readRequests: 250n, readBytes: 250n * 16_384n }), true, '1000 parts at the least');
    assert.equal(limited(fields, { readRequests: 500n, readBytes: 500n * 4096n }), null, '500 to 1000 parts');
    assert.equal(limited(fields, { readRequests: 100n, readBytes: 100n * 4096n }), false);
  });

  test('disks of one group share its limit', () => {
    const throttle = { fields: { total_iops_sec: 100 }, group: 'g' };
    const reading = (vda: bigint, vdb: bigint | null): readonly ReadDisk[] => [
      disk('vda', { readRequests: vda }, throttle),
      disk('vdb', vdb === null ? null : { writeRequests: vdb }, throttle),
      disk('vdc', {}),
    ];
    const verdicts = (account: DisksAccount): unknown => account.signals.map((one) => one.limited);
    assert.deepEqual(verdicts(rounds(10_000, reading(0n, 0n), reading(600n, 390n))), [true, true, false]);
    assert.deepEqual(verdicts(rounds(10_000, reading(0n, 0n), reading(600n, 100n))), [false, false, false]);
    assert.deepEqual(verdicts(rounds(10_000, reading(0n, 0n), reading(600n, null))), [null, null, false]);
  });

  test('is not known without the throttle, or over a round in which it was changed', () => {
    const slow = { fields: { read_iops_sec: 10 }, group: null };
    assert.equal(only(rounds(1000, [disk('vda', {}, null)], [disk('vda', {}, null)])).limited, null);
    const changed = rounds(1000, [disk('vda', {})], [disk('vda', { readRequests: 10n }, slow)]);
    assert.equal(only(changed).limited, null);
    assert.equal(only(rounds(1000, [disk('vda', {}, slow)], [disk('vda', { readRequests: 10n }, slow)])).limited, true);
  });
});
