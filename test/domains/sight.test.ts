/** Where a look at an address goes: the guest's own handles, the groups above it, or whoever knows what is no file. */
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { deviceSight } from '../../src/domains/device-sight.js';
import type { DiskReadings } from '../../src/domains/disk-readings.js';
import { BLIND, sightOf } from '../../src/domains/sight.js';
import { Taps } from '../../src/domains/taps.js';
import type { Address, Domain } from '../../src/domains/types.js';
import type { DiskReading } from '../../src/host/libvirt/client.js';
import { guestOn } from '../controls/some-guest.js';
import { fakeInterface } from '../fakes/fake-tuning.js';

let asked: string[];
let domain: Domain;
let handles: Parameters<typeof sightOf>[0] extends () => { readonly handles: infer H } ? H : never;
beforeEach(() => {
  asked = [];
  domain = guestOn('v2-nested');
  handles = told('own') as unknown as typeof handles;
});

function told(who: string): { read(address: Address): string; exists(address: Address): boolean } {
  return {
    read: ({ path }) => {
      asked.push(`${who} ${path}`);
      return who;
    },
    exists: ({ path }) => {
      asked.push(`${who} ${path}`);
      return path.endsWith('there');
    },
  };
}

const sight = () =>
  sightOf(() => ({ domain, handles }), told('above') as never, {
    read: (_domain, { path }) => `device ${path}`,
    problem: (_domain, { path }) => (path === 'qemu:bad' ? 'no throttle' : null),
  });

describe('a cgroup file', () => {
  test('of the guest’s own groups through its handles, of those above it through the shared ones', () => {
    const { domainDir, weightDir, ancestors } = domain.cgroup ?? assert.fail();
    for (const directory of [domainDir, `${domainDir}/vcpu0`, weightDir]) {
      assert.equal(sight().read({ path: `${directory}/cpu.max` }), 'own');
    }
    assert.ok(ancestors.length > 0);
    for (const directory of ancestors) assert.equal(sight().read({ path: `${directory}/cpu.max` }), 'above');
    for (const { ancestors: others } of Object.values(domain.groups)) {
      for (const directory of others) assert.equal(sight().read({ path: `${directory}/memory.max` }), 'above');
    }
  });

  test('that the kernel does not offer is not there; of a guest that is not open nothing is known', () => {
    const own = domain.cgroup?.domainDir;
    assert.equal(sight().exists({ path: `${own}/there` }), true);
    assert.equal(sight().exists({ path: `${own}/not` }), false);
    assert.equal(sight().exists({ path: `${domain.cgroup?.ancestors[0]}/not` }), false);
    assert.equal(sight().problem({ path: `${own}/not` }), null);
    handles = null;
    assert.equal(sight().read({ path: `${own}/there` }), null);
    assert.equal(sight().exists({ path: `${own}/not` }), true, 'nobody can say that it is not there');
  });
});

test('what is no file is asked of who knows it, open or not', () => {
  handles = null;
  assert.equal(sight().read({ path: 'qemu:vda' }), 'device qemu:vda');
  assert.equal(sight().read({ path: 'tap:vnet0/in' }), 'device tap:vnet0/in');
  assert.deepEqual([sight().exists({ path: 'qemu:vda' }), sight().exists({ path: 'qemu:bad' })], [true, false]);
  assert.equal(sight().problem({ path: 'qemu:bad' }), 'no throttle');
  assert.deepEqual(asked, []);
});

test('of a guest that is not there nothing can be seen, and nothing is denied', () => {
  const address = { path: '/x/cpu.max' };
  assert.deepEqual([BLIND.read(address), BLIND.exists(address), BLIND.problem(address)], [null, true, null]);
});

test('addresses of devices are taken apart: a target, a tap with its direction, and what is neither', () => {
  const readings: Pick<DiskReadings, 'of' | 'throttle' | 'histogram'> = {
    of: (_domain, target) =>
      (target === 'vdb'
        ? { throttleProblem: 'none', histogramProblem: 'old' }
        : { throttleProblem: null }) as DiskReading,
    throttle: (_domain, target) => `throttle of ${target}`,
    histogram: (_domain, target) => `histogram of ${target}`,
  };
  const devices = deviceSight(readings, {
    read: (_domain: Domain, device: string, direction: 'in' | 'out') => `${device} ${direction}`,
    problem: () => null,
  } as never);
  const read = (path: string) => devices.read(domain, { path });
  assert.equal(read('qemu:vda'), 'throttle of vda');
  assert.equal(read('qemu-histogram:vda'), 'histogram of vda');
  assert.equal(read('tap:vnet0/in'), 'vnet0 in');
  assert.equal(read('tap:a/b/out'), 'a/b out');
  assert.deepEqual([read('tap:vnet0'), read('tap:vnet0/both'), read('nonsense')], [null, null, null]);
  assert.deepEqual(
    [devices.problem(domain, { path: 'qemu:vda' }), devices.problem(domain, { path: 'qemu:vdb' })],
    [null, 'none'],
  );
  const problem = (path: string) => devices.problem(domain, { path });
  assert.deepEqual([problem('qemu-histogram:vda'), problem('qemu-histogram:vdb')], [null, 'old']);
});

test('a tap is read only if it is the guest’s, and one that is gone is not known', () => {
  const taps = new Taps();
  try {
    const own = guestOn('v2-nested', {
      tuning: { interfaces: [fakeInterface({ mac: '52:54:00:00:00:01', device: 'nosuchtap0' })] },
    });
    assert.equal(taps.read(own, 'nosuchtap0', 'in'), null);
    assert.equal(taps.read(own, 'lo', 'in'), null, 'another’s');
    assert.equal(taps.read({ ...own, facts: null }, 'nosuchtap0', 'in'), null);
  } finally {
    taps.close();
  }
});
