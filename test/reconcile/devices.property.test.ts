/**
 * Disks and interfaces under random histories: plugged in and out with limits of their own, tuned by others, the policy
 * edited, the guest and the daemon started anew, libvirt away or busy. At the end all that is there is held, and has
 * back what it came with, or what others have put there while it was nobody's.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Bandwidth, DiskThrottle } from '../../src/domains/types.js';
import { EmulatedBench } from './emulated-bench.js';

const TARGETS = ['vda', 'vdb', 'vdc'] as const;
const MACS = ['52:54:00:00:00:01', '52:54:00:00:00:02'] as const;
const CLASSES = {
  low: { body: 'disk: { limit: { iops: 500 } }\nnetwork: { limit: { in: 8Mbit/s } }', iops: 500, kbytes: 1000 },
  high: { body: 'disk: { limit: { iops: 600 } }\nnetwork: { limit: { in: 16Mbit/s } }', iops: 600, kbytes: 2000 },
} as const;

const iops = (amount: number): DiskThrottle => ({
  fields: amount === 0 ? {} : { total_iops_sec: amount },
  group: null,
});
const kbytes = (amount: number): Bandwidth | null => (amount === 0 ? null : { averageKbytes: amount });

/** None of them is a value of ours. */
const ownIops = fc.constantFrom(0, 700, 800, 900);
const ownKbytes = fc.constantFrom(0, 70, 80, 90);
const target = fc.constantFrom(...TARGETS);
const mac = fc.constantFrom(...MACS);
const step = fc.oneof(
  fc.record({ does: fc.constant('plug disk' as const), target, amount: ownIops }),
  fc.record({ does: fc.constant('unplug disk' as const), target }),
  fc.record({ does: fc.constant('plug interface' as const), mac, amount: ownKbytes }),
  fc.record({ does: fc.constant('unplug interface' as const), mac }),
  fc.record({ does: fc.constant('tune disk' as const), target, amount: ownIops }),
  fc.record({ does: fc.constant('tune interface' as const), mac, amount: ownKbytes }),
  fc.record({ does: fc.constant('policy' as const), name: fc.constantFrom('low', 'high', null) }),
  fc.record({ does: fc.constantFrom('daemon anew', 'guest anew', 'away', 'busy') }),
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

class World {
  readonly bench = new EmulatedBench('v2-nested');
  readonly uuid: string;
  /** What each device has without us. */
  readonly disks = new Map<string, number>([['vda', 900]]);
  readonly interfaces = new Map<string, number>();
  name: keyof typeof CLASSES | null = 'low';
  away = false;
  busy = false;

  constructor() {
    this.uuid = this.bench.addGuest({ name: 'db-1', disks: [{ target: 'vda', throttle: iops(900) }] });
  }

  /** False for what cannot be just now, or of which nobody could say whose value it was. */
  async take(one: Step): Promise<boolean> {
    const { bench, uuid, disks, interfaces } = this;
    const { libvirt } = bench;
    const hidden = this.away || this.busy;
    switch (one.does) {
      case 'plug disk':
        if (hidden || disks.has(one.target)) return false;
        disks.set(one.target, one.amount);
        libvirt.attachDisk(uuid, { target: one.target, throttle: iops(one.amount) });
        return true;
      case 'unplug disk':
        if (hidden || !disks.delete(one.target)) return false;
        libvirt.detachDisk(uuid, one.target);
        return true;
      case 'plug interface':
        if (hidden || interfaces.has(one.mac)) return false;
        interfaces.set(one.mac, one.amount);
        libvirt.attachInterface(uuid, { mac: one.mac, inbound: kbytes(one.amount) });
        return true;
      case 'unplug interface':
        if (hidden || !interfaces.delete(one.mac)) return false;
        libvirt.detachInterface(uuid, one.mac);
        return true;
      case 'tune disk':
        if (hidden || !disks.has(one.target)) return false;
        if (this.name === null) disks.set(one.target, one.amount);
        libvirt.virsh(uuid, [{ call: 'throttle', disk: one.target, throttle: iops(one.amount) }]);
        return true;
      case 'tune interface':
        if (hidden || !interfaces.has(one.mac)) return false;
        if (this.name === null) interfaces.set(one.mac, one.amount);
        libvirt.virsh(uuid, [{ call: 'bandwidth', device: this.deviceOf(one.mac), inbound: kbytes(one.amount) }]);
        return true;
      case 'policy':
        this.setPolicy(one.name as keyof typeof CLASSES | null);
        await bench.core.operator.reload();
        return true;
      case 'daemon anew':
        await bench.boot();
        return true;
      case 'guest anew':
        if (hidden) return false;
        bench.stopGuest(uuid);
        await bench.cycles(1);
        bench.startGuest(uuid, { name: 'db-1' });
        disks.clear();
        disks.set('vda', 900);
        interfaces.clear();
        return true;
      case 'away':
        this.away = !this.away;
        if (this.away) libvirt.disconnect('killed');
        else libvirt.reconnect();
        return true;
      case 'busy':
        this.busy = !this.busy;
        libvirt.occupy(uuid, this.busy);
        return true;
    }
  }

  setPolicy(name: keyof typeof CLASSES | null): void {
    this.name = name;
    this.bench.setClass(name === null ? null : CLASSES[name].body);
  }

  deviceOf(address: string): string {
    return this.bench.libvirt.tuning(this.uuid).interfaces.find((one) => one.mac === address)?.device ?? '';
  }

  limits(): { disks: Record<string, number>; interfaces: Record<string, number> } {
    const { disks, interfaces } = this.bench.libvirt.tuning(this.uuid);
    return {
      disks: Object.fromEntries(disks.map((disk) => [disk.target, disk.throttle.fields.total_iops_sec ?? 0])),
      interfaces: Object.fromEntries(interfaces.map((one) => [one.mac, one.inbound?.averageKbytes ?? 0])),
    };
  }

  /** All that disturbs is over, and what was put off is due. */
  async calm(): Promise<void> {
    if (this.away) await this.take({ does: 'away' });
    if (this.busy) await this.take({ does: 'busy' });
    this.bench.elapsedMs += 25 * 60_000;
    await this.bench.cycles(3);
  }
}

test('devices are held while they are there, and have what is theirs again when they are let go', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 14 }), async (steps) => {
      const world = new World();
      const { bench } = world;
      try {
        world.setPolicy('low');
        await bench.boot();
        await bench.settle();
        for (const one of steps) if (await world.take(one)) await bench.cycles(2);
        await world.calm();
        const all = world.limits();
        if (world.name === null) {
          assert.deepEqual(all, {
            disks: Object.fromEntries(world.disks),
            interfaces: Object.fromEntries(world.interfaces),
          });
        } else {
          const { iops: amount, kbytes: average } = CLASSES[world.name];
          assert.deepEqual(all, {
            disks: Object.fromEntries([...world.disks.keys()].map((key) => [key, amount])),
            interfaces: Object.fromEntries([...world.interfaces.keys()].map((key) => [key, average])),
          });
        }
        await bench.core.operator.release({ all: true });
        await bench.cycles(2);
        assert.deepEqual(world.limits(), {
          disks: Object.fromEntries(world.disks),
          interfaces: Object.fromEntries(world.interfaces),
        });
        assert.equal(bench.core.parts.counters.cycleFailures, 0);
      } finally {
        await bench.remove();
      }
    }),
    { numRuns: 25 },
  );
});
