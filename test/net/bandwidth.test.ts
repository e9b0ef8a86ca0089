import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Bandwidth } from '../../src/domains/types.js';
import {
  burstFits,
  enforcedBandwidth,
  holdsBandwidth,
  inLibvirtUnits,
  MAX_BURST_KBYTES,
  MAX_BURST_SECONDS,
  type Shaper,
} from '../../src/host/net/bandwidth.js';

/** What libvirt was asked for, and the ticks in which the kernel (6.1, x86-64) then held the burst. */
const MEASURED: readonly (readonly [Shaper, Bandwidth, ticks: number])[] = [
  ['htb', { averageKbytes: 1000 }, 0x61a8],
  ['htb', { averageKbytes: 1000, peakKbytes: 2000, burstKbytes: 100 }, 0x18_6a00],
  ['htb', { averageKbytes: 125_000, burstKbytes: 1024 }, 0x1_fff6],
  ['htb', { averageKbytes: 125_000, burstKbytes: 1 }, 0x7d],
  ['htb', { averageKbytes: 1_250_000, peakKbytes: 2_500_000, burstKbytes: 4096 }, 0xccc5],
  ['htb', { averageKbytes: 1_250_000, peakKbytes: 2_500_000, burstKbytes: 4097 }, 0xccd5],
  ['htb', { averageKbytes: 5_000_000, peakKbytes: 6_000_000, burstKbytes: 10_240 }, 0x7ffd],
  ['htb', { averageKbytes: 5_000_000 }, 0],
  ['htb', { averageKbytes: 1, burstKbytes: 1024 }, 0xd090_0000],
  ['htb', { averageKbytes: 1 }, 0x17d_7840],
  ['police', { averageKbytes: 1000 }, 0xf4_2400],
  ['police', { averageKbytes: 1000, peakKbytes: 2000, burstKbytes: 100 }, 0x18_6a00],
  ['police', { averageKbytes: 125_000, burstKbytes: 1024 }, 0x1_fff6],
  ['police', { averageKbytes: 1_250_000, burstKbytes: 4097 }, 0xccd5],
  ['police', { averageKbytes: 5_000_000 }, 0xcc_ccc5],
  ['police', { averageKbytes: 1, burstKbytes: 1024 }, 0xd090_0000],
  ['police', { averageKbytes: 4_294_967_295 }, 0x3cf9],
];

describe('what the kernel holds after libvirt has set it', () => {
  for (const [shaper, asked, ticks] of MEASURED) {
    it(`${shaper} ${JSON.stringify(asked)}`, () => {
      const enforced = enforcedBandwidth(asked, shaper);
      const rate = asked.averageKbytes * 1000;
      assert.deepEqual(enforced, {
        averageBytesPerSecond: rate,
        peakBytesPerSecond: shaper === 'htb' && asked.peakKbytes !== undefined ? asked.peakKbytes * 1000 : null,
        burstBytes: Math.round((rate * ticks * 64) / 1e9),
      });
      assert.ok(holdsBandwidth(enforced, asked, shaper));
    });
  }

  it('is nothing for no limit, for a promise alone, and for an average of 0', () => {
    assert.equal(enforcedBandwidth(null, 'htb'), null);
    assert.equal(enforcedBandwidth({ averageKbytes: 0, floorKbytes: 100 }, 'htb'), null);
    assert.ok(holdsBandwidth(null, { averageKbytes: 0 }, 'police'));
    assert.ok(!holdsBandwidth(null, { averageKbytes: 1 }, 'police'));
    assert.ok(!holdsBandwidth(enforcedBandwidth({ averageKbytes: 1 }, 'htb'), null, 'htb'));
  });

  it('knows no peak that is the average, and none of a policer', () => {
    const flat = { averageKbytes: 1000, peakKbytes: 1000 };
    assert.equal(enforcedBandwidth(flat, 'htb')?.peakBytesPerSecond, null);
    const peak = { averageKbytes: 1000, peakKbytes: 2000 };
    assert.ok(holdsBandwidth(enforcedBandwidth({ averageKbytes: 1000 }, 'police'), peak, 'police'));
    assert.ok(!holdsBandwidth(enforcedBandwidth({ averageKbytes: 1000 }, 'htb'), peak, 'htb'));
  });
});

describe('the same or not', () => {
  const asked = { averageKbytes: 125_000, peakKbytes: 250_000, burstKbytes: 512 };
  const held = enforcedBandwidth(asked, 'htb') ?? assert.fail();

  it('does not take the rounding of any version of tc for a change', () => {
    // Since 2025: rounded up to a tick of 64 ns, 8 bytes at this rate.
    for (const burstBytes of [held.burstBytes, 512 * 1024, 512 * 1024 + 8]) {
      assert.ok(holdsBandwidth({ ...held, burstBytes }, asked, 'htb'), `${burstBytes}`);
    }
  });

  it('takes a burst that is too long for what any version of tc makes of it', () => {
    const long = { averageKbytes: 1, burstKbytes: 1024 };
    const wrapped = enforcedBandwidth(long, 'police') ?? assert.fail();
    assert.ok(holdsBandwidth({ ...wrapped, burstBytes: Math.floor(MAX_BURST_SECONDS * 1000) }, long, 'police'));
    assert.ok(!holdsBandwidth({ ...wrapped, burstBytes: 250_000 }, long, 'police'));
  });

  it('sees every change of a kilobyte a second, and of the burst up to 7 Gbit/s', () => {
    for (const changed of [
      { ...asked, averageKbytes: 125_001 },
      { ...asked, peakKbytes: 250_001 },
      { ...asked, burstKbytes: 513 },
      { ...asked, burstKbytes: 511 },
      { averageKbytes: 125_000, peakKbytes: 250_000 },
      { averageKbytes: 125_000, burstKbytes: 512 },
    ]) {
      assert.ok(!holdsBandwidth(held, changed, 'htb'), JSON.stringify(changed));
    }
    const fast = { averageKbytes: 875_000, burstKbytes: 512 };
    assert.ok(!holdsBandwidth(enforcedBandwidth(fast, 'htb'), { ...fast, burstKbytes: 513 }, 'htb'));
  });
});

describe("the kernel's value in libvirt's units", () => {
  it('is what was asked for where the kernel holds it, rounding or not', () => {
    for (const [shaper, asked] of MEASURED) {
      const held = enforcedBandwidth(asked, shaper);
      assert.equal(inLibvirtUnits(held, shaper, asked), asked);
    }
    const promise = { averageKbytes: 0, floorKbytes: 100 };
    assert.equal(inLibvirtUnits(null, 'htb', promise), promise);
    assert.equal(inLibvirtUnits(null, 'htb', { averageKbytes: 100 }), null);
  });

  it('leaves out a default burst and names any other', () => {
    const other = { averageKbytes: 7 };
    const say = (asked: Bandwidth, shaper: Shaper) => inLibvirtUnits(enforcedBandwidth(asked, shaper), shaper, other);
    assert.deepEqual(say({ averageKbytes: 1000 }, 'htb'), { averageKbytes: 1000 });
    assert.deepEqual(say({ averageKbytes: 1000 }, 'police'), { averageKbytes: 1000 });
    const whole = { averageKbytes: 125_000, peakKbytes: 250_000, burstKbytes: 1024 };
    assert.deepEqual(say(whole, 'htb'), whole);
    assert.deepEqual(say(whole, 'police'), { averageKbytes: 125_000, burstKbytes: 1024 });
    assert.deepEqual(inLibvirtUnits({ averageBytesPerSecond: 1, peakBytesPerSecond: null, burstBytes: 0 }, 'htb'), {
      averageKbytes: 1,
      burstKbytes: 1,
    });
  });
});

describe('a burst that tc can express', () => {
  it('is under 4 GiB and under 274 s of the average rate', () => {
    assert.ok(burstFits({ averageKbytes: 1 }));
    assert.ok(burstFits({ averageKbytes: 100_000, burstKbytes: MAX_BURST_KBYTES }));
    assert.ok(!burstFits({ averageKbytes: 100_000, burstKbytes: MAX_BURST_KBYTES + 1 }));
    assert.ok(burstFits({ averageKbytes: 1, burstKbytes: 268 }));
    assert.ok(!burstFits({ averageKbytes: 1, burstKbytes: 269 }));
  });
});
