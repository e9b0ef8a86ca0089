/** What is looked up beside the cycle (devices under images, QEMU's throttles) and does not answer, or answers late. */
import assert from 'node:assert/strict';
import { endianness } from 'node:os';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { foreignQueue, RTM_NEWTCLASS } from '../../src/host/net/tc-message.js';
import { EmulatedBench } from './emulated-bench.js';

const IMAGE = '/images/vda.img';
const GUEST = { name: 'db-1', disks: [{ target: 'vda', path: IMAGE, cache: 'none' }] };

describe('a file system that does not answer', () => {
  let at: EmulatedBench;
  beforeEach(() => {
    at = new EmulatedBench('v2-nested', { machine: { disks: ['8:0', '8:16'] } });
  });
  afterEach(() => at.remove());

  const ioMax = (uuid: string) => at.value(uuid, 'io', 'io.max');

  test('lifts no limit on the devices under the images, not in a daemon that starts meanwhile either', async () => {
    const uuid = at.addGuest(GUEST);
    at.setClass('disk: { via: cgroup, limit: { read: 10MiB/s } }');
    await at.boot();
    await at.settle();
    assert.match(ioMax(uuid), /rbps=10485760/);
    at.disks.images.set(IMAGE, null);
    at.elapsedMs += 400_000;
    await at.cycles(3);
    assert.match(ioMax(uuid), /rbps=10485760/, 'lifted');
    assert.equal(at.control(uuid, 'disk.limit')?.status, 'holds');
    await at.boot();
    await at.cycles(2);
    assert.match(ioMax(uuid), /rbps=10485760/, 'lifted after a restart');
    at.disks.images.delete(IMAGE);
    at.elapsedMs += 30_000;
    await at.cycles(2);
    assert.equal(at.control(uuid, 'disk.limit')?.status, 'holds');
  });

  test('a guest that comes back with its disk on another device has no limit on the old one, not for a moment', async () => {
    at.disks.names.set('8:16', 'sdb');
    const uuid = at.addGuest(GUEST);
    at.setClass('disk: { via: cgroup, limit: { read: 10MiB/s } }');
    await at.boot();
    await at.settle();
    at.stopGuest(uuid);
    at.disks.images.set('/new/vda.img', '8:16');
    at.libvirt.define({ ...GUEST, disks: [{ target: 'vda', path: '/new/vda.img', cache: 'none' }] });
    at.startGuest(uuid, GUEST);
    const before = at.kernel.writes.length;
    await at.cycles(3);
    assert.match(ioMax(uuid), /^8:16 rbps=10485760/);
    const touched = at.kernel.writes.slice(before).filter(({ text }) => text.startsWith('8:0'));
    assert.deepEqual(touched, []);
  });

  test('a look that goes wrong in a way that nobody thought of ends neither the daemon nor a limit', async () => {
    const uuid = at.addGuest(GUEST);
    at.setClass('disk: { via: cgroup, limit: { read: 10MiB/s } }');
    await at.boot();
    await at.settle();
    const rejected: unknown[] = [];
    const note = (error: unknown): void => void rejected.push(error);
    process.on('unhandledRejection', note);
    at.disks.block.wholeDisks = async () => {
      throw new Error('a defect');
    };
    at.elapsedMs += 400_000;
    await at.cycles(2);
    await new Promise((resolve) => setTimeout(resolve, 10));
    process.off('unhandledRejection', note);
    assert.deepEqual(rejected, []);
    assert.match(ioMax(uuid), /rbps=10485760/);
  });

  test('a daemon that starts while QEMU cannot be asked for one throttle gives nothing back', async () => {
    const uuid = at.addGuest({ name: 'db-1', disks: [{ target: 'vda' }] });
    at.setClass('disk: { limit: { iops: 900 } }');
    await at.boot();
    await at.settle();
    const throttleProblem = 'Timed out during operation: cannot acquire state change lock';
    const disks = at.libvirt.disks.bind(at.libvirt);
    at.libvirt.disks = async (...args) => {
      const answer = await disks(...args);
      if (!answer.ok) return answer;
      return { ok: true, value: answer.value.map((one) => ({ ...one, throttle: null, throttleProblem })) };
    };
    await at.boot();
    await at.cycles(3);
    assert.deepEqual(at.libvirt.tuning(uuid).disks[0]?.throttle.fields, { total_iops_sec: 900 });
  });
});

test('a disk that libvirt cannot limit does not keep the others from being mended', async () => {
  const at = new EmulatedBench('v2-nested');
  const uuid = at.addGuest({ name: 'db-1', disks: [{ target: 'vda' }, { target: 'vdb' }] });
  const tune = at.libvirt.tune.bind(at.libvirt);
  at.libvirt.tune = async (to, id, calls) => {
    const possible = calls.filter((call) => call.call !== 'throttle' || call.disk !== 'vdb');
    const outcome = await tune(to, id, possible);
    return possible.length === calls.length ? outcome : { ok: false, failure: 'refused', message: 'disk vdb: no' };
  };
  at.setClass('disk: { limit: { iops: 900 } }');
  await at.boot();
  await at.cycles(40);
  at.libvirt.throttleBehindLibvirt(uuid, 'vda', { fields: {}, group: null });
  await at.cycles(14);
  const { value } = (await at.libvirt.disks(uuid, at.libvirt.id(uuid) ?? -1)) as {
    readonly value: readonly { readonly throttle: { readonly fields: object } | null }[];
  };
  assert.deepEqual(value[0]?.throttle?.fields, { total_iops_sec: 900 });
  await at.remove();
});

test('a queue that somebody else has put on a tap is no tap without a limit', () => {
  const IFINDEX = 7;
  const little = endianness() === 'LE';
  /** struct tcmsg and the attribute TCA_KIND. */
  const aClass = (kind: string, handle: number, ifindex = IFINDEX) => {
    const payload = new DataView(new ArrayBuffer(44));
    payload.setInt32(4, ifindex, little);
    payload.setUint32(8, handle, little);
    payload.setUint16(20, 4 + kind.length + 1, little);
    payload.setUint16(22, 1, little);
    for (let at = 0; at < kind.length; at++) payload.setUint8(24 + at, kind.charCodeAt(at));
    return { type: RTM_NEWTCLASS, flags: 0, sequence: 1, payload };
  };
  assert.equal(foreignQueue([], IFINDEX), null);
  assert.equal(foreignQueue([aClass('htb', 0x1_0001), aClass('sfq', 0x2_0001)], IFINDEX), null, 'libvirt’s own');
  assert.equal(foreignQueue([aClass('fq_codel', 0x8001_0001)], IFINDEX), null, 'a default');
  assert.equal(foreignQueue([aClass('tbf', 0x8001_0001)], IFINDEX), 'tbf');
  assert.equal(foreignQueue([aClass('htb', 0x10_0001)], IFINDEX), 'htb');
  assert.equal(foreignQueue([aClass('tbf', 0x8001_0001, 8)], IFINDEX), null, 'of another interface');
});
