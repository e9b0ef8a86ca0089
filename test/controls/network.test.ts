/** network.limit by interface: what is set in libvirt's units, what libvirt cannot do, and what nobody could. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { networkLimit } from '../../src/controls/network-limit.js';
import type { InterfaceDevice } from '../../src/domains/types.js';
import { fakeInterface } from '../fakes/fake-tuning.js';
import { desiredOf, guestOn, tellOf, textsOf, writersOf } from './some-guest.js';

const [FIRST, SECOND] = ['52:54:00:00:00:01', '52:54:00:00:00:02'];
const VNET0 = fakeInterface({ mac: FIRST, device: 'vnet0' });
const with1 = (...interfaces: InterfaceDevice[]) => guestOn('v2-nested', { tuning: { interfaces } });
const limit = (text: string, ...interfaces: InterfaceDevice[]) =>
  desiredOf(networkLimit, `network: { limit: { ${text} } }`, with1(...interfaces));

describe('network.limit', () => {
  const rows: [string, string, InterfaceDevice[], Record<string, string> | RegExp][] = [
    ['average in', 'in: 1Gbit/s', [VNET0], { [`${FIRST}/in`]: 'average=125000' }],
    [
      'all of it, both ways',
      'in: { average: 8Mbit/s, peak: 16Mbit/s, burst: 512KiB }, out: 1MB/s',
      [VNET0],
      { [`${FIRST}/in`]: 'average=1000 peak=2000 burst=512', [`${FIRST}/out`]: 'average=1000' },
    ],
    [
      'a ceiling is rounded down',
      'in: { average: 1999B/s, peak: 2999B/s, burst: 100B }',
      [VNET0],
      { [`${FIRST}/in`]: 'average=1 peak=2 burst=1' },
    ],
    ['a burst of nothing is none', 'in: { average: 1MB/s, burst: 0 }', [VNET0], { [`${FIRST}/in`]: 'average=1000' }],
    ['less than a unit is refused', 'in: 999B/s', [VNET0], /^refused: 999B\/s is under 8kbit\/s/],
    ['more than 32 bits too', 'out: 5TB/s', [VNET0], /^refused: 40000Gbit\/s is more than libvirt sets/],
    ['a burst of minutes', 'in: { average: 8kbit/s, burst: 10MiB }', [VNET0], /^refused: a burst of 10MiB/],
    [
      'each interface',
      'out: 1MB/s',
      [VNET0, fakeInterface({ mac: SECOND, device: 'macvtap0', type: 'direct' })],
      { [`${FIRST}/out`]: 'average=1000', [`${SECOND}/out`]: 'average=1000' },
    ],
    [
      'the floor that a network promises stays',
      'in: 8Mbit/s',
      [{ ...VNET0, inbound: { averageKbytes: 5, floorKbytes: 100 } }],
      { [`${FIRST}/in`]: 'average=1000 floor=100' },
    ],
    ['user', 'in: 1MB/s', [fakeInterface({ mac: FIRST, type: 'user' })], /^unsupported: .*of type user: its packets/],
    ['vhost-user', 'in: 1MB/s', [{ ...VNET0, type: 'vhostuser' }], /^unsupported: vnet0: .*another process/],
    ['hostdev', 'in: 1MB/s', [{ ...VNET0, type: 'hostdev' }], /^unsupported: .*handed through/],
    ['without a device', 'in: 1MB/s', [fakeInterface({ mac: FIRST })], /^unsupported: .*no device on this host/],
    ['none at all', 'in: 1MB/s', [], /^unsupported: it has no network interface$/],
  ];
  for (const [name, text, interfaces, wanted] of rows) {
    test(name, () => {
      const found = textsOf(limit(text, ...interfaces));
      if (wanted instanceof RegExp) assert.match(String(found), wanted);
      else assert.deepEqual(found, wanted);
    });
  }

  test('of two with one MAC the first is limited, and people are told', () => {
    const desired = limit('in: 1MB/s', VNET0, { ...VNET0, device: 'vnet1' });
    assert.ok(desired.kind === 'set');
    assert.deepEqual(
      desired.settings.map(({ path }) => path),
      ['tap:vnet0/in'],
    );
    assert.match(desired.notes.join(), /vnet1: not limited: another interface .* same MAC/);
  });

  test('a bare guest’s taps are left to whoever made them', () => {
    const guest = guestOn('bare', { tuning: { interfaces: [{ ...VNET0, mac: '', device: null, type: 'tap' }] } });
    assert.match(
      String(textsOf(desiredOf(networkLimit, 'network: { limit: { in: 1MB/s } }', guest))),
      /^unsupported: tap: not limited: its tap/,
    );
  });

  test('both directions of an interface are one call', () => {
    const domain = with1(VNET0, fakeInterface({ mac: SECOND, device: 'vnet1' }));
    const desired = desiredOf(networkLimit, 'network: { limit: { in: 1MB/s, out: 2MB/s } }', domain);
    assert.ok(Object.values(writersOf(desired)).every((writer) => writer === 'libvirt'));
    const [inbound, outbound] = [{ averageKbytes: 1000 }, { averageKbytes: 2000 }];
    assert.deepEqual(tellOf(networkLimit, desired, domain)?.calls, [
      { call: 'bandwidth', device: 'vnet0', inbound, outbound },
      { call: 'bandwidth', device: 'vnet1', inbound, outbound },
    ]);
    const one = new Map([[`${FIRST}/out`, 'none']]);
    assert.deepEqual(networkLimit.tellFor?.(one, domain)?.calls, [
      { call: 'bandwidth', device: 'vnet0', outbound: null },
    ]);
  });

  test('what an unplugged interface had is nowhere', () => {
    assert.equal(networkLimit.place?.(`${SECOND}/in`, with1(VNET0)), null);
    assert.equal(networkLimit.tellFor?.(new Map([[`${SECOND}/in`, 'none']]), with1(VNET0)), null);
  });

  test('a peak from the guest is said not to be enforced', () => {
    const desired = limit('out: { average: 1MB/s, peak: 2MB/s }', VNET0);
    assert.match(desired.kind === 'set' ? desired.notes.join() : '', /does not enforce a peak/);
  });
});
