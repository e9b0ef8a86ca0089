import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type DiskThrottle, THROTTLE_FIELDS } from '../../src/domains/types.js';
import { canonicalThrottle, formatDiskThrottle, NO_THROTTLE, parseDiskThrottle } from '../../src/text/disk-throttle.js';

const CASES: readonly (readonly [DiskThrottle, string])[] = [
  [NO_THROTTLE, 'none'],
  [{ fields: { read_iops_sec: 500 }, group: null }, 'read_iops_sec=500'],
  [
    { fields: { write_iops_sec: 200, total_bytes_sec: 1_000_000 }, group: null },
    'total_bytes_sec=1000000 write_iops_sec=200',
  ],
  [
    { fields: { total_iops_sec: 5, total_iops_sec_max: 9, total_iops_sec_max_length: 30 }, group: 'db' },
    'total_iops_sec=5 total_iops_sec_max=9 total_iops_sec_max_length=30 group=db',
  ],
  [{ fields: { total_iops_sec: 5 }, group: 'a b=c%41 ü\n' }, 'total_iops_sec=5 group=a%20b=c%2541%20%c3%bc%0a'],
  [
    { fields: { total_bytes_sec: 1e15 }, group: '/machine/peripheral/x' },
    'total_bytes_sec=1000000000000000 group=/machine/peripheral/x',
  ],
];

describe('the text of a disk’s throttle', () => {
  for (const [throttle, text] of CASES) {
    it(`is ${text}`, () => {
      assert.equal(formatDiskThrottle(throttle), text);
      assert.deepEqual(parseDiskThrottle(text), throttle);
    });
  }

  it('says nothing twice', () => {
    for (const [fields, group, text] of [
      [
        { read_iops_sec: 5, read_iops_sec_max: 6, read_iops_sec_max_length: 1 },
        null,
        'read_iops_sec=5 read_iops_sec_max=6',
      ],
      [{ read_iops_sec: 5, read_iops_sec_max_length: 1 }, null, 'read_iops_sec=5'],
      [{ read_iops_sec: 5, read_iops_sec_max_length: 20 }, null, 'read_iops_sec=5'],
      [{ read_iops_sec: 0 }, null, 'none'],
      [{}, 'db', 'none'],
      [{ total_iops_sec_max_length: 1 }, 'db', 'none'],
    ] as const) {
      assert.equal(formatDiskThrottle({ fields, group }), text);
    }
  });

  it('is parsed only as it is formatted', () => {
    for (const text of [
      '',
      'None',
      'read_iops_sec',
      'read_iops_sec=0',
      'read_iops_sec=-1',
      'read_iops_sec=1.5',
      'read_iops_sec=1e3',
      'read_iops_sec=05',
      'read_iops_sec=1000000000000001',
      'read_iops_sec=1 read_iops_sec=1',
      'read_iops_sec=1  write_iops_sec=1',
      'write_iops_sec=1 read_iops_sec=1',
      'read_iops_sec=1 group=a group=b',
      'read_iops_sec=1 group=%41',
      'read_iops_sec=1 group=%zz',
      'read_iops_sec=1 speed=3',
      'group=db',
      'read_iops_sec_max_length=5',
      '__proto__=3',
    ]) {
      assert.equal(parseDiskThrottle(text), null, text);
    }
  });

  it('goes to and fro for every field and any name', () => {
    for (let round = 0; round < 500; round++) {
      const fields = Object.fromEntries(
        THROTTLE_FIELDS.filter((_, index) => (round * 2654435761) & (1 << (index % 31))).map((name, index) => [
          name,
          round + index + 1,
        ]),
      );
      const group = round % 3 === 0 ? null : String.fromCodePoint(32 + round * 7, 37, 0x1f600 + (round % 50));
      const throttle = canonicalThrottle({ fields, group });
      assert.deepEqual(parseDiskThrottle(formatDiskThrottle({ fields, group })), throttle);
      assert.match(formatDiskThrottle(throttle), /^[ -~]+$/);
    }
  });
});
