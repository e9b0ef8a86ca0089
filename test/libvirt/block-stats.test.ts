/** QEMU's answer to `query-blockstats`, in the form of QEMU 7.2 and in forms that a QEMU in a guest's hands might give. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { blockStatsOf, diskAliases } from '../../src/host/libvirt/block-stats.js';

const HISTOGRAM = { bins: [20, 35, 17, 0], boundaries: [10_000, 1_000_000, 100_000_000] };
const entry = (qdev: unknown, stats: object = {}) => ({
  device: '',
  'node-name': 'libvirt-2-format',
  qdev,
  stats: { rd_total_time_ns: 115_154_899, rd_operations: 99, ...stats },
});
const VIRTIO = '/machine/peripheral/virtio-disk1/virtio-backend';

describe('the disk of an alias', () => {
  for (const [qdev, alias] of [
    [VIRTIO, 'virtio-disk1'],
    ['/machine/peripheral/ide0-0-0', 'ide0-0-0'],
    ['scsi0-0-0-0', 'scsi0-0-0-0'],
  ] as const) {
    test(`${alias} is ${qdev}`, () => {
      const answer = [entry('/machine/peripheral/virtio-disk10/virtio-backend'), entry(qdev)];
      assert.equal(blockStatsOf(answer, alias)?.qdev, qdev);
    });
  }

  test('is no disk whose alias begins alike, and none that QEMU does not know', () => {
    assert.equal(blockStatsOf([entry(VIRTIO)], 'virtio-disk'), null);
    assert.equal(blockStatsOf([entry(undefined)], 'virtio-disk1'), null);
    assert.equal(blockStatsOf([], 'virtio-disk1'), null);
  });
});

describe('its histograms', () => {
  const of = (stats: object) => blockStatsOf([entry(VIRTIO, stats)], 'virtio-disk1')?.histograms;

  test('are read, each with the time of all its requests', () => {
    const { bins, boundaries: boundariesNs } = HISTOGRAM;
    assert.deepEqual(of({ rd_latency_histogram: HISTOGRAM, flush_latency_histogram: HISTOGRAM }), {
      reads: { bins, boundariesNs, totalNs: 115_154_899 },
      writes: null,
      flushes: { bins, boundariesNs, totalNs: 0 },
    });
  });

  const hostile: Readonly<Record<string, unknown>> = {
    'no object': 7,
    'without bins': { boundaries: [1, 2] },
    'a bin too few': { bins: [1, 2], boundaries: [1, 2] },
    'a bin too many': { bins: [1, 2, 3, 4], boundaries: [1, 2] },
    'negative counts': { bins: [1, -2, 3], boundaries: [1, 2] },
    'counts that no number holds': { bins: [1, 2 ** 60, 3], boundaries: [1, 2] },
    fractions: { bins: [1, 2.5, 3], boundaries: [1, 2] },
    'words for counts': { bins: ['1', '2', '3'], boundaries: [1, 2] },
    'boundaries out of order': { bins: [1, 2, 3], boundaries: [2, 1] },
    'one boundary twice': { bins: [1, 2, 3], boundaries: [2, 2] },
    'a boundary of 0': { bins: [1, 2], boundaries: [0] },
    'boundaries by the thousand': {
      bins: Array.from({ length: 5001 }, () => 1),
      boundaries: Array.from({ length: 5000 }, (_, at) => at + 1),
    },
  };
  for (const [name, info] of Object.entries(hostile)) {
    test(`${name}: none`, () => assert.equal(of({ rd_latency_histogram: info })?.reads, null));
  }

  test('of whatever QEMU answers are none or sound', () => {
    const json = fc.jsonValue({ maxDepth: 6 });
    const near = json.map((value) => [entry(VIRTIO, { rd_latency_histogram: value, wr_latency_histogram: HISTOGRAM })]);
    fc.assert(
      fc.property(fc.oneof(json, near), (answer) => {
        const found = blockStatsOf(answer, 'virtio-disk1');
        for (const one of [found?.histograms.reads, found?.histograms.writes]) {
          if (one == null) continue;
          assert.equal(one.bins.length, one.boundariesNs.length + 1);
          assert.ok([...one.bins, ...one.boundariesNs, one.totalNs].every((value) => Number.isSafeInteger(value)));
        }
      }),
    );
  });
});

test('aliases are those of disks alone', () => {
  const xml = `<domain type='qemu'><devices>
    <disk type='file' device='disk'><target dev='vda' bus='virtio'/><alias name='virtio-disk0'/></disk>
    <disk type='file' device='disk'><target dev='vdb' bus='virtio'/></disk>
    <disk type='file' device='cdrom'><target dev='hda' bus='ide'/><alias name='ua-my disk'/></disk>
    <interface type='user'><target dev='vnet0'/><alias name='net0'/></interface>
  </devices></domain>`;
  assert.deepEqual(
    [...diskAliases(xml)],
    [
      ['vda', 'virtio-disk0'],
      ['hda', 'ua-my disk'],
    ],
  );
});
