/**
 * Disks and interfaces that come, go and come back as others; QEMU's answers that come late or never; throttles that
 * somebody else changes; a daemon that dies at any moment of setting one.
 */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { DiskThrottle } from '../../src/domains/types.js';
import type { LibvirtClient } from '../../src/host/libvirt/client.js';
import { EmulatedBench, pause, turns } from './emulated-bench.js';

const iops = (amount: number): DiskThrottle => ({ fields: { total_iops_sec: amount }, group: null });
const NONE: DiskThrottle = { fields: {}, group: null };
const MAC = '52:54:00:00:00:01';
const OTHER_MAC = '52:54:00:00:00:02';
const CLASS = 'disk: { limit: { iops: 500 } }\nnetwork: { limit: { in: 10Mbit/s, out: 5Mbit/s } }';
const IN = { averageKbytes: 1250 };
const OUT = { averageKbytes: 625 };

let at: EmulatedBench;
beforeEach(() => {
  at = new EmulatedBench('v2-nested');
});
afterEach(() => at.remove());

const throttle = (uuid: string, target = 'vda'): DiskThrottle | undefined =>
  at.libvirt.tuning(uuid).disks.find((disk) => disk.target === target)?.throttle;
const bandwidth = (uuid: string, mac = MAC): unknown[] => {
  const found = at.libvirt.tuning(uuid).interfaces.find((one) => one.mac === mac);
  return [found?.inbound, found?.outbound];
};
const tunes = (kind: string): number =>
  at.libvirt.calls.filter(({ calls }) => calls?.some(({ call }) => call === kind) === true).length;

/** Without a cycle of the timer: what follows from events alone. */
async function eventually(what: string, holds: () => boolean): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    if (holds()) return;
    await pause(1);
  }
  assert.fail(`${what}: not within a second`);
}

describe('devices that are plugged in and out', () => {
  test('are held by the event alone, and given back as they came', async () => {
    const uuid = at.addGuest({ name: 'db-1', disks: [{ target: 'vda' }] });
    at.setClass(CLASS);
    const core = await at.boot();
    await at.settle();
    at.libvirt.attachDisk(uuid, { target: 'vdb', throttle: iops(900) });
    await eventually('the disk', () => throttle(uuid, 'vdb')?.fields.total_iops_sec === 500);
    at.libvirt.attachInterface(uuid, { mac: MAC, inbound: { averageKbytes: 77 } });
    await eventually('the interface', () => JSON.stringify(bandwidth(uuid)) === JSON.stringify([IN, OUT]));
    await at.settle();
    assert.deepEqual(at.statuses(uuid), { 'disk.limit': 'holds', 'network.limit': 'holds' });
    await core.operator.release({ all: true });
    await at.settle();
    assert.deepEqual([throttle(uuid), throttle(uuid, 'vdb')], [NONE, iops(900)]);
    assert.deepEqual(bandwidth(uuid), [{ averageKbytes: 77 }, null]);
    assert.deepEqual(at.core.parts.journal.of(uuid), []);
  });

  test('a vCPU that is plugged in is held, and what libvirt gave it is no original of its own', async () => {
    const uuid = at.addGuest({ name: 'db-1', vcpus: 2 });
    at.setClass('cpu: { limit: 1 cores, burst: 5ms, pin: "0-3" }');
    const core = await at.boot();
    await at.settle();
    assert.equal(at.value(uuid, 'cpu', 'vcpu1/cpu.max'), '50000 100000');
    at.plugVcpu(uuid);
    at.plugVcpu(uuid);
    await at.cycles(2);
    for (const vcpu of [0, 1, 2, 3]) {
      assert.equal(at.value(uuid, 'cpu', `vcpu${vcpu}/cpu.max`), '25000 100000');
      assert.equal(at.value(uuid, 'cpu', `vcpu${vcpu}/cpu.max.burst`), '5000');
      assert.equal(at.value(uuid, 'cpuset', `vcpu${vcpu}/cpuset.cpus`), '0-3');
    }
    at.unplugVcpu(uuid);
    await at.cycles(2);
    at.plugVcpu(uuid);
    await at.cycles(2);
    assert.deepEqual(at.statuses(uuid), { 'cpu.limit': 'holds', 'cpu.burst': 'holds', 'cpu.pin': 'holds' });
    await core.operator.release({ all: true });
    await at.settle();
    for (const vcpu of [0, 1, 2, 3]) {
      assert.equal(at.value(uuid, 'cpu', `vcpu${vcpu}/cpu.max`), 'max 100000');
      assert.equal(at.value(uuid, 'cpu', `vcpu${vcpu}/cpu.max.burst`), '0');
    }
  });

  test('a disk that is unplugged and plugged in again as it was in the live XML is not taken for tuned by others', async () => {
    const uuid = at.addGuest({ name: 'db-1', disks: [{ target: 'vda' }, { target: 'vdb', throttle: iops(900) }] });
    at.setClass(CLASS);
    const core = await at.boot();
    await at.settle();
    const live = at.libvirt.tuning(uuid).disks[1] ?? assert.fail();
    assert.deepEqual(live.throttle, iops(500));
    at.libvirt.detachDisk(uuid, 'vdb');
    await at.cycles(2);
    at.libvirt.attachDisk(uuid, live);
    await at.cycles(2);
    await core.operator.release({ all: true });
    await at.settle();
    assert.deepEqual(throttle(uuid, 'vdb'), iops(900));
  });

  test('an interface with the same address and another limit of its own gets that one back', async () => {
    const uuid = at.addGuest({ name: 'db-1', interfaces: [{ mac: MAC, inbound: { averageKbytes: 11 } }] });
    at.setClass(CLASS);
    const core = await at.boot();
    await at.settle();
    at.libvirt.detachInterface(uuid, MAC);
    await at.cycles(2);
    at.libvirt.attachInterface(uuid, { mac: MAC, outbound: { averageKbytes: 22 } });
    await at.cycles(2);
    assert.deepEqual(bandwidth(uuid), [IN, OUT]);
    await core.operator.release({ all: true });
    await at.settle();
    assert.deepEqual(bandwidth(uuid), [null, { averageKbytes: 22 }]);
  });

  test('a drive whose medium goes and comes', async () => {
    const uuid = at.addGuest({
      name: 'db-1',
      disks: [{ target: 'vda' }, { target: 'sda', device: 'cdrom', path: null }],
    });
    at.setClass(CLASS);
    const core = await at.boot();
    await at.settle();
    assert.equal(at.statuses(uuid)['disk.limit'], 'holds');
    at.libvirt.changeMedium(uuid, 'sda', '/images/cd.iso');
    // libvirt announces nothing: seen when the XML is read again, within five minutes.
    await at.cycles(75);
    assert.deepEqual(throttle(uuid, 'sda'), iops(500));
    at.libvirt.changeMedium(uuid, 'sda', null);
    await at.cycles(75);
    assert.equal(at.statuses(uuid)['disk.limit'], 'holds');
    await core.operator.release({ all: true });
    await at.settle();
    assert.deepEqual(throttle(uuid), NONE);
  });
});

describe('what QEMU answers', () => {
  /** The answers to `disks` of a guest, kept back until let go. */
  function holdBack(): { letGo(): void; readonly asked: () => number } {
    const waiting: (() => void)[] = [];
    let held = true;
    let asked = 0;
    at.wrapLibvirt = (client) =>
      new Proxy(client, {
        get: (target, name) => {
          if (name !== 'disks') return Reflect.get(target, name);
          return async (...args: Parameters<LibvirtClient['disks']>) => {
            asked++;
            const answer = await target.disks(...args);
            if (held) await new Promise<void>((resolve) => waiting.push(resolve));
            return answer;
          };
        },
      });
    return {
      asked: () => asked,
      letGo() {
        held = false;
        for (const resolve of waiting.splice(0)) resolve();
      },
    };
  }

  test('late: the rest is held meanwhile, and the disk when the answer is there', async () => {
    const { letGo } = holdBack();
    const uuid = at.addGuest({ name: 'db-1', disks: [{ target: 'vda' }] });
    at.setClass(`cpu: { limit: 50% }\n${CLASS}`);
    await at.boot();
    await turns(20);
    await at.core.reconciler.full();
    assert.equal(at.value(uuid, 'cpu', 'vcpu0/cpu.max'), '50000 100000');
    assert.equal(at.control(uuid, 'disk.limit')?.status, 'pending');
    assert.deepEqual(throttle(uuid), NONE);
    letGo();
    await eventually('the disk', () => throttle(uuid)?.fields.total_iops_sec === 500);
  });

  test('late, of an instance that is gone: not taken for the next one', async () => {
    const { letGo } = holdBack();
    const uuid = at.addGuest({ name: 'db-1', disks: [{ target: 'vda', throttle: iops(900) }] });
    at.setClass(CLASS);
    await at.boot();
    await turns(20);
    at.stopGuest(uuid);
    at.libvirt.define({ name: 'db-1', disks: [{ target: 'vda', throttle: iops(700) }] });
    at.startGuest(uuid, { name: 'db-1' });
    await at.core.reconciler.resync();
    letGo();
    await at.cycles(3);
    assert.deepEqual(throttle(uuid), iops(500));
    await at.core.operator.release({ all: true });
    await at.settle();
    assert.deepEqual(throttle(uuid), iops(700));
  });

  test('nothing, for a guest with which libvirt is busy: others are limited, and it is asked every few seconds', async () => {
    const busy = at.addGuest({ name: 'busy', disks: [{ target: 'vda' }] });
    const well = at.addGuest({ name: 'well', disks: [{ target: 'vda' }] });
    at.libvirt.occupy(busy, true);
    at.setClass(CLASS);
    await at.boot();
    await at.cycles(20);
    assert.deepEqual(throttle(well), iops(500));
    assert.equal(at.control(busy, 'disk.limit')?.status, 'pending');
    const asked = at.libvirt.calls.filter(({ op, uuid }) => op === 'disks' && uuid === busy).length;
    // Once a cycle, and up to four times more while it is busy: those by the real clock, which these cycles outrun.
    assert.ok(asked >= 10 && asked <= 20 * 5 + 2, `asked ${asked} times in 20 cycles`);
    at.libvirt.occupy(busy, false);
    await at.cycles(2);
    assert.deepEqual(throttle(busy), iops(500));
  });

  test('nothing any more: the last answer stands, the guest is not asked every cycle, and no alarm is raised', async () => {
    const frozen = at.addGuest({ name: 'frozen', disks: [{ target: 'vda' }] });
    const well = at.addGuest({ name: 'well', disks: [{ target: 'vda' }] });
    at.setClass(CLASS);
    const core = await at.boot();
    await at.cycles(2);
    at.libvirt.hang(frozen);
    await at.cycles(40);
    assert.deepEqual(at.libvirt.status().quarantined, [frozen]);
    const hung = at.libvirt.calls.filter(({ op, uuid }) => op === 'disks' && uuid === frozen).length;
    assert.ok(hung <= 4, `${hung} calls`);
    assert.equal(at.statuses(well)['disk.limit'], 'holds');
    at.libvirt.attachDisk(well, { target: 'vdb' });
    await at.cycles(1);
    assert.deepEqual(throttle(well, 'vdb'), iops(500));
    assert.deepEqual(
      core.log.filter(({ level }) => level === 'error'),
      [],
    );
    at.libvirt.recover(frozen);
    await at.cycles(2);
    assert.equal(at.statuses(frozen)['disk.limit'], 'holds');
  });

  test('a disk of which QEMU has no throttle is said, and the others are limited', async () => {
    const uuid = at.addGuest({ name: 'db-1', disks: [{ target: 'vda' }, { target: 'vdb', sourceType: 'vhostuser' }] });
    at.setClass(CLASS);
    await at.boot();
    await at.settle();
    const said = at.control(uuid, 'disk.limit');
    assert.equal(said?.status, 'holds');
    assert.match(said?.notes.join('\n') ?? '', /vdb: not limited/);
    assert.equal(tunes('throttle'), 1);
  });
});

describe('what others change', () => {
  test('a throttle, through libvirt: drift, mended by the event, attributed to libvirt', async () => {
    const uuid = at.addGuest({ name: 'db-1', disks: [{ target: 'vda' }, { target: 'vdb' }] });
    at.setClass(CLASS);
    const core = await at.boot();
    await at.settle();
    assert.deepEqual(core.parts.counters.driftRepairs, { libvirt: 0, systemd: 0, unknown: 0 }, 'ours is none');
    at.libvirt.virsh(uuid, [{ call: 'throttle', disk: 'vdb', throttle: iops(9000) }]);
    await eventually('the disk', () => throttle(uuid, 'vdb')?.fields.total_iops_sec === 500);
    await at.settle();
    await pause(330);
    assert.deepEqual(core.parts.counters.driftRepairs, { libvirt: 1, systemd: 0, unknown: 0 });
    const drift = core.log.filter(({ event }) => event === 'control.drift');
    assert.deepEqual(
      drift.map(({ fields }) => [fields.key, fields.by]),
      [['vdb/throttle', 'libvirt']],
    );
    await core.operator.release({ all: true });
    await at.settle();
    assert.deepEqual([throttle(uuid), throttle(uuid, 'vdb')], [NONE, NONE]);
  });

  test('every one of several rewrites is mended at first, then they are spaced out and said to be contested', async () => {
    const uuid = at.addGuest({ name: 'db-1', disks: [{ target: 'vda' }] });
    at.setClass(CLASS);
    const core = await at.boot();
    await at.settle();
    for (let rewrite = 0; rewrite < 40; rewrite++) {
      at.libvirt.virsh(uuid, [{ call: 'throttle', disk: 'vda', throttle: iops(9000 + rewrite) }]);
      await at.cycles(1);
    }
    assert.equal(at.control(uuid, 'disk.limit')?.status, 'contested');
    assert.equal(core.log.filter(({ event }) => event === 'control.contested').length, 1);
    assert.ok(tunes('throttle') <= 1 + 12, `${tunes('throttle')} answers to 40 rewrites`);
    at.elapsedMs += 25 * 60_000;
    await at.cycles(2);
    assert.equal(at.statuses(uuid)['disk.limit'], 'holds');
  });

  test('a throttle in a group, by us: announced with the group’s name, and no drift', async () => {
    const group: DiskThrottle = { fields: { total_iops_sec: 900 }, group: 'fast lane' };
    const uuid = at.addGuest({ name: 'db-1', disks: [{ target: 'vda', throttle: group }] });
    at.setClass(CLASS);
    const core = await at.boot();
    await at.settle();
    assert.deepEqual(throttle(uuid), { ...iops(500), group: 'fast lane' });
    assert.equal(core.parts.attribution.by(uuid, at.elapsedMs), 'unknown', 'our own announcement');
    const disks = at.libvirt.calls.filter(({ op }) => op === 'disks').length;
    assert.ok(disks <= 2, `QEMU was asked ${disks} times`);
    await core.operator.release({ all: true });
    await at.settle();
    assert.deepEqual(throttle(uuid), group);
    assert.deepEqual(core.parts.counters.driftRepairs, { libvirt: 0, systemd: 0, unknown: 0 });
  });

  test('of a disk that leaves a group libvirt announces first that it has no limit: no drift', async () => {
    const uuid = at.addGuest({ name: 'db-1', disks: [{ target: 'vda' }] });
    at.setClass(CLASS);
    const listen = at.libvirt.emit.bind(at.libvirt);
    at.libvirt.emit = (event) => {
      if (event.kind === 'tunable') {
        const zeros = Object.entries(event.parameters).map(([name, value]) => [
          name,
          name.endsWith('.disk') ? value : '0',
        ]);
        listen({ ...event, parameters: Object.fromEntries(zeros) });
      }
      listen(event);
    };
    const core = await at.boot();
    await at.settle();
    await at.cycles(15);
    assert.deepEqual(throttle(uuid), iops(500));
    assert.equal(tunes('throttle'), 1);
    assert.deepEqual(core.parts.counters.driftRepairs, { libvirt: 0, systemd: 0, unknown: 0 });
  });

  test('a throttle behind libvirt’s back, a tap’s queue, a pin: found in a round, mended, by nobody known', async () => {
    const uuid = at.addGuest({ name: 'db-1', disks: [{ target: 'vda' }], interfaces: [{ mac: MAC }] });
    at.setClass(`cpu: { pin: "0-3" }\n${CLASS}`);
    const core = await at.boot();
    await at.cycles(2);
    at.libvirt.throttleBehindLibvirt(uuid, 'vda', iops(9000));
    const device = at.libvirt.tuning(uuid).interfaces[0]?.device ?? '';
    at.taps.set(device, 'in', null);
    at.kernel.poke(`${at.directory(uuid, 'cpuset')}/vcpu0/cpuset.cpus`, '5');
    await at.cycles(14);
    assert.deepEqual(at.statuses(uuid), { 'cpu.pin': 'holds', 'disk.limit': 'holds', 'network.limit': 'holds' });
    await pause(330);
    assert.deepEqual(core.parts.counters.driftRepairs, { libvirt: 0, systemd: 0, unknown: 3 });
  });

  test('an interface that cannot be read keeps what it has', async () => {
    const uuid = at.addGuest({ name: 'db-1', interfaces: [{ mac: MAC }, { mac: OTHER_MAC }] });
    at.setClass(CLASS);
    await at.boot();
    await at.settle();
    const device = at.libvirt.tuning(uuid).interfaces[0]?.device ?? '';
    at.taps.unreadable.add(device);
    const before = tunes('bandwidth');
    at.setClass(CLASS.replace('10Mbit/s', '20Mbit/s'));
    await at.reload();
    await at.cycles(20);
    assert.deepEqual(bandwidth(uuid), [IN, OUT]);
    assert.deepEqual(bandwidth(uuid, OTHER_MAC), [{ averageKbytes: 2500 }, OUT], 'the other one is set');
    assert.ok(tunes('bandwidth') <= before + 1);
    assert.equal(at.control(uuid, 'network.limit')?.status, 'pending');
    at.taps.unreadable.clear();
    await at.cycles(1);
    assert.deepEqual(bandwidth(uuid), [{ averageKbytes: 2500 }, OUT]);
    await at.core.operator.release({ all: true });
    await at.settle();
    assert.deepEqual(
      [bandwidth(uuid), bandwidth(uuid, OTHER_MAC)],
      [
        [null, null],
        [null, null],
      ],
    );
  });
});

describe('the way of a disk limit', () => {
  const via = (way: string): string => `disk: { via: ${way}, limit: { read: 10MiB/s, write-iops: 200 } }`;
  const NO_LIMIT = '';
  const THROTTLED: DiskThrottle = { fields: { read_bytes_sec: 10_485_760, write_iops_sec: 200 }, group: null };
  const LIMITED = '8:0 rbps=10485760 wbps=max riops=max wiops=200';

  for (const layout of ['v1', 'v2-nested', 'v2-flat'] as const) {
    test(`from QEMU to the cgroup and back, on ${layout}: the way that is left has its original again`, async () => {
      await at.remove();
      at = new EmulatedBench(layout);
      const uuid = at.addGuest({ name: 'db-1', disks: [{ target: 'vda', throttle: iops(900) }] });
      const v1 = layout === 'v1';
      const ioMax = (): string =>
        v1 ? at.value(uuid, 'io', 'blkio.throttle.read_bps_device') : at.value(uuid, 'io', 'io.max');
      const limited = v1 ? '8:0 10485760' : LIMITED;
      const ours: DiskThrottle = { ...THROTTLED, fields: { ...THROTTLED.fields } };
      at.setClass(via('qemu'));
      await at.boot();
      await at.settle();
      assert.deepEqual([throttle(uuid)?.fields.read_bytes_sec, ioMax()], [ours.fields.read_bytes_sec, NO_LIMIT]);
      at.setClass(via('cgroup'));
      await at.reload();
      assert.deepEqual([throttle(uuid), ioMax()], [iops(900), limited]);
      at.setClass(via('qemu'));
      await at.reload();
      assert.deepEqual([throttle(uuid)?.fields.read_bytes_sec, ioMax()], [ours.fields.read_bytes_sec, NO_LIMIT]);
      assert.equal(at.statuses(uuid)['disk.limit'], 'holds');
      await at.core.operator.release({ all: true });
      await at.settle();
      assert.deepEqual([throttle(uuid), ioMax()], [iops(900), NO_LIMIT]);
      assert.deepEqual(at.core.parts.journal.of(uuid), []);
    });
  }

  test('an image that is moved to another disk takes its limit along', async () => {
    const uuid = at.addGuest({ name: 'db-1', disks: [{ target: 'vda' }] });
    at.disks.names.set('8:16', 'sdb');
    await at.remove();
    at = new EmulatedBench('v2-nested', { machine: { disks: ['8:0', '8:16'] } });
    at.disks.names.set('8:16', 'sdb');
    const moved = at.addGuest({ name: 'db-1', disks: [{ target: 'vda' }] });
    assert.equal(moved, uuid);
    at.setClass(via('cgroup'));
    await at.boot();
    await at.settle();
    assert.equal(at.value(moved, 'io', 'io.max'), LIMITED);
    at.disks.images.set('/images/vda.img', '8:16');
    await at.cycles(62);
    assert.equal(at.value(moved, 'io', 'io.max'), LIMITED.replace('8:0', '8:16'));
    at.disks.images.set('/images/vda.img', null);
    await at.cycles(62);
    assert.equal(at.value(moved, 'io', 'io.max'), LIMITED.replace('8:0', '8:16'), 'nobody can say where it is now');
    await at.core.operator.release({ all: true });
    await at.settle();
    assert.equal(at.value(moved, 'io', 'io.max'), '');
  });
});
