/** cpu.burst and cpu.pin, and the CPU limits of guests that have no vCPU groups. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { cpuBurst } from '../../src/controls/cpu-burst.js';
import { cpuLimit } from '../../src/controls/cpu-limit.js';
import { cpuPin } from '../../src/controls/cpu-pin.js';
import { cpuWeight, weightOf } from '../../src/controls/cpu-weight.js';
import { desiredOf, guestOn, type Layout, SEES_NOTHING, sees, tellOf, textsOf, writersOf } from './some-guest.js';

describe('cpu.burst', () => {
  const burst = (text: string, layout: Layout = 'v2', options = {}) =>
    desiredOf(cpuBurst, `cpu: { ${text} }`, guestOn(layout, options));

  test('on each vCPU, at most its quota', () => {
    assert.deepEqual(textsOf(burst('limit: 50%, burst: 20ms')), {
      'vcpu0/cpu.max.burst': '20000',
      'vcpu1/cpu.max.burst': '20000',
    });
    const cut = burst('limit: 1 cores, burst: 30ms', 'v1', { vcpus: 4 });
    assert.deepEqual(new Set(Object.values(textsOf(cut))), new Set(['25000']));
    assert.match(cut.kind === 'set' ? cut.notes.join() : '', /cut to the quota of a vCPU, 25ms/);
  });

  test('of a group that holds all vCPUs, for all of them', () => {
    const domain = guestOn('bare', { vcpus: 4 });
    const desired = desiredOf(cpuBurst, 'cpu: { limit: 50%, burst: 20ms }', domain);
    assert.deepEqual(textsOf(desired), { 'cpu.max.burst': '80000' });
    const texts = new Map([['cpu.max.burst', '80000']]);
    assert.deepEqual(desired.kind === 'set' && desired.amounts, cpuBurst.amountsOf?.(texts, domain));
    assert.equal(cpuBurst.displayOf?.(texts, domain), desired.kind === 'set' ? desired.display : '');
  });

  const nothing: [string, string, Layout, object][] = [
    ['no limit', 'burst: 20ms', 'v2', {}],
    ['no quota', 'limit: 100%, burst: 20ms', 'v2', {}],
    ['a limit that is refused', 'limit: 0.5 cores, burst: 20ms', 'v2', { vcpus: 64 }],
    ['real-time vCPUs', 'limit: 50%, burst: 20ms', 'v2', { tuning: { cpu: { realtimeVcpus: true } } }],
  ];
  for (const [name, text, layout, options] of nothing) {
    test(`${name}: nothing to save up from`, () =>
      assert.match(String(textsOf(burst(text, layout, options))), /^unsupported: its vCPUs have no quota/));
  }
  test('a scope of systemd’s has no property for it; an old kernel no file', () => {
    assert.match(String(textsOf(burst('limit: 50%, burst: 20ms', 'bare-scope'))), /^unsupported: systemd owns/);
    const old = desiredOf(cpuBurst, 'cpu: { limit: 50%, burst: 20ms }', guestOn('v2'), sees({}, ['cpu.max.burst']));
    assert.match(String(textsOf(old)), /^unsupported: this kernel/);
  });
});

describe('cpu.pin', () => {
  const pin = (text: string, layout: Layout = 'v2-nested', options = {}) =>
    desiredOf(cpuPin, `cpu: { pin: "${text}" }`, guestOn(layout, options));

  test('each vCPU, as the kernel prints it, and libvirt is told each', () => {
    const domain = guestOn('v2-nested');
    const desired = desiredOf(cpuPin, 'cpu: { pin: "5,0,1,2" }', domain);
    assert.deepEqual(textsOf(desired), { 'vcpu0/cpuset.cpus': '0-2,5', 'vcpu1/cpuset.cpus': '0-2,5' });
    assert.deepEqual(tellOf(cpuPin, desired, domain)?.calls, [
      { call: 'pin', vcpu: 0, cpus: [0, 1, 2, 5] },
      { call: 'pin', vcpu: 1, cpus: [0, 1, 2, 5] },
    ]);
  });

  test('what cannot be', () => {
    assert.match(String(textsOf(pin('0-9'))), /^refused: this host has the CPUs 0-7, not 8-9$/);
    assert.match(String(textsOf(pin('0', 'bare'))), /^unsupported: its vCPUs have no cpuset groups/);
    const without = { domain: { groups: {}, reasons: { cpuset: 'not passed on' } } };
    assert.match(String(textsOf(pin('0', 'v2', without))), /^unsupported: not passed on/);
    assert.match(notes(pin('0', 'v2')), /2 vCPUs share 1 host CPUs/);
  });
  const notes = (desired: ReturnType<typeof pin>): string => (desired.kind === 'set' ? desired.notes.join() : '');

  test('a vCPU without a pin has that of the guest, or every CPU', () => {
    const xml = (pins: Record<number, string>, cpuset: string | null) => {
      const domain = guestOn('v2', { hardware: { cpuset }, tuning: { pins } });
      return cpuPin.fromXml?.('vcpu1/cpuset.cpus', domain.facts?.tuning as never, domain).text;
    };
    assert.equal(xml({ 1: '3,2' }, '0-1'), '2-3');
    assert.equal(xml({ 0: '3' }, '0-1'), '0-1');
    assert.equal(xml({}, null), '');
  });

  test('libvirt cannot be told of no pin', () => {
    assert.equal(cpuPin.tellFor?.(new Map([['vcpu0/cpuset.cpus', '']]), guestOn('v2')), null);
    assert.equal(cpuPin.tellFor?.(new Map([['vcpu0/cpuset.cpus', '0']]), guestOn('bare')), null);
  });

  test('groups above that leave fewer CPUs decide', () => {
    const domain = guestOn('v2-nested');
    const desired = desiredOf(cpuPin, 'cpu: { pin: "0-3" }', domain);
    const left = (text: string) =>
      cpuPin.overriddenBy?.(desired, domain, sees({ 'vcpu0/cpuset.cpus.effective': text }))?.reason ?? null;
    assert.match(left('0-1') ?? '', /leave only the CPUs 0-1/);
    assert.equal(left('0-3'), null);
    assert.equal(cpuPin.overriddenBy?.(desired, domain, SEES_NOTHING), null);
  });

  test('no pin is no number of CPUs', () => {
    const amount = (text: string) => cpuPin.amountsOf?.(new Map([['vcpu0/cpuset.cpus', text]]), guestOn('v2'))?.[0];
    assert.equal(amount('')?.value, null);
    assert.equal(amount('0-2')?.value, 3);
  });
});

describe('a guest without vCPU groups', () => {
  test('its one group has the quota of all vCPUs', () => {
    const desired = desiredOf(cpuLimit, 'cpu: { limit: 50% }', guestOn('bare', { vcpus: 3 }));
    assert.deepEqual(textsOf(desired), { 'cpu.max': '150000 100000' });
    assert.deepEqual(writersOf(desired), { 'cpu.max': 'direct' });
    assert.equal(tellOf(cpuLimit, desired, guestOn('bare', { vcpus: 3 })), null);
  });

  test('its own quota is no foreign one, a lower one above it is', () => {
    const domain = guestOn('bare', { vcpus: 3 });
    // 33333 µs on each of three vCPUs is a little under the core that was asked for.
    const desired = desiredOf(cpuLimit, 'cpu: { limit: 1 cores }', domain);
    const texts = { 'guest-1/cpu.max': '99999 100000' };
    assert.equal(cpuLimit.overriddenBy?.(desired, domain, sees(texts)), null);
    const above = sees({ ...texts, '/machine/cpu.max': '50000 100000' });
    assert.match(cpuLimit.overriddenBy?.(desired, domain, above)?.reason ?? '', /a group above it/);
  });

  const rows: [string, string, string, bigint][] = [
    ['33.3 cores of a hundred are 34 %', '0.333 cores', '34000 100000', 340_000n],
    ['whole percents stay', '0.07 cores', '7000 100000', 70_000n],
    ['no quota', '100%', 'max 100000', 2n ** 64n - 1n],
  ];
  for (const [name, limit, text, perSecondUsec] of rows) {
    test(`in systemd's scope: ${name}`, () => {
      const domain = guestOn('bare-scope', { vcpus: 1 });
      const desired = desiredOf(cpuLimit, `cpu: { limit: ${limit} }`, domain);
      assert.deepEqual(textsOf(desired), { 'cpu.max': text });
      const properties = [{ name: 'CPUQuotaPerSecUSec', value: perSecondUsec }];
      assert.deepEqual(tellOf(cpuLimit, desired, domain)?.units, [{ unit: 'guest-1.scope', properties }]);
    });
  }
  test('systemd’s own period stays, and a text that it cut means whole percents', () => {
    const domain = guestOn('bare-scope', { vcpus: 1 });
    const standing = sees({ 'cpu.max': 'max 33333' });
    const desired = desiredOf(cpuLimit, 'cpu: { limit: 29% }', domain, standing);
    assert.deepEqual(textsOf(desired), { 'cpu.max': '9666 33333' });
    assert.equal(tellOf(cpuLimit, desired, domain)?.units[0]?.properties[0]?.value, 290_000n);
  });

  test('on v1 systemd makes shares of its weight, rounded down', () => {
    const domain = guestOn('bare-scope-v1');
    for (const [weight, shares] of [
      [7, '71'],
      [100, '1024'],
      [10_000, '102400'],
    ] as const) {
      const desired = desiredOf(cpuWeight, `cpu: { weight: ${weight} }`, domain);
      assert.deepEqual(textsOf(desired), { 'cpu.weight': shares });
      assert.equal(tellOf(cpuWeight, desired, domain)?.units[0]?.properties[0]?.value, BigInt(weight));
      assert.equal(weightOf(shares, domain), weight);
    }
  });
});
