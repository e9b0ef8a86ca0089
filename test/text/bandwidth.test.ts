import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Bandwidth } from '../../src/domains/types.js';
import { formatBandwidth, parseBandwidth } from '../../src/text/bandwidth.js';

const CASES: readonly (readonly [Bandwidth | null, string])[] = [
  [null, 'none'],
  [{ averageKbytes: 1000 }, 'average=1000'],
  [{ averageKbytes: 1000, peakKbytes: 2000, burstKbytes: 512 }, 'average=1000 peak=2000 burst=512'],
  [{ averageKbytes: 1, burstKbytes: 4_294_967_295 }, 'average=1 burst=4294967295'],
  [{ averageKbytes: 10, floorKbytes: 5 }, 'average=10 floor=5'],
  [{ averageKbytes: 0, floorKbytes: 5 }, 'floor=5'],
];

describe('the text of a bandwidth', () => {
  for (const [bandwidth, text] of CASES) {
    it(`is ${text}`, () => {
      assert.equal(formatBandwidth(bandwidth), text);
      assert.deepEqual(parseBandwidth(text), bandwidth);
    });
  }

  it('is none where libvirt sees no limit', () => {
    assert.equal(formatBandwidth({ averageKbytes: 0 }), 'none');
    assert.equal(formatBandwidth({ averageKbytes: 0, peakKbytes: 5 }), 'none');
    assert.equal(formatBandwidth({ averageKbytes: 5, peakKbytes: 0 }), 'average=5');
  });

  it('is parsed only as it is formatted', () => {
    for (const text of [
      '',
      'average',
      'average=0',
      'average=-1',
      'average=01',
      'average=1.5',
      'average=4294967296',
      'average=1 average=1',
      'peak=3',
      'peak=3 average=1',
      'average=1 speed=2',
      'average=1  peak=2',
    ]) {
      assert.equal(parseBandwidth(text), undefined, text);
    }
  });
});
