/** Records of originals where what stands cannot be read at once, places come and go, and guests come back as others. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { DiskThrottle } from '../../src/domains/types.js';
import type { LibvirtOutcome } from '../../src/host/libvirt/client.js';
import { planDomain } from '../../src/reconcile/plan.js';
import { EmulatedBench, GIB } from './emulated-bench.js';

const LIMIT = 'disk: { limit: { iops: 900 } }';
const OURS: DiskThrottle = { fields: { total_iops_sec: 900 }, group: null };
const THEIRS: DiskThrottle = { fields: { total_iops_sec: 500 }, group: null };
const NONE: DiskThrottle = { fields: {}, group: null };
const DISK = { name: 'db-1', disks: [{ target: 'vda' }] };

describe('originals of what is read late', () => {
  let at: EmulatedBench;
  beforeEach(() => {
    at = new EmulatedBench('v2-nested');
  });
  afterEach(() => at.remove());

  const throttle = (uuid: string, target = 'vda') =>
    at.libvirt.tuning(uuid).disks.find((disk) => disk.target === target)?.throttle;

  test('a guest that comes back with another definition gets that one’s throttle back', async () => {
    const uuid = at.addGuest(DISK);
    at.setClass(LIMIT);
    const core = await at.boot();
    await at.settle();
    assert.deepEqual(throttle(uuid), OURS);
    at.stopGuest(uuid);
    await at.cycles(1);
    at.libvirt.define({ ...DISK, disks: [{ target: 'vda', throttle: THEIRS }] });
    at.startGuest(uuid, DISK);
    await at.cycles(3);
    assert.deepEqual(throttle(uuid), OURS);
    await core.operator.release({ domain: 'db-1' });
    await at.settle();
    assert.deepEqual(throttle(uuid), THEIRS);
  });

  test('after a save and a restore, our own throttle is no original', async () => {
    const uuid = at.addGuest(DISK);
    at.setClass(LIMIT);
    const core = await at.boot();
    await at.settle();
    const originalsXml = at.libvirt.originalsXml(uuid) ?? assert.fail('nothing travels with it');
    at.stopGuest(uuid);
    await at.cycles(1);
    at.libvirt.define({ ...DISK, originalsXml, disks: [{ target: 'vda', throttle: OURS }] });
    at.startGuest(uuid, DISK);
    await at.cycles(3);
    await core.operator.release({ domain: 'db-1' });
    await at.settle();
    assert.deepEqual(throttle(uuid), NONE);
  });

  test('another disk in the place of one that was unplugged gets its own throttle back', async () => {
    const uuid = at.addGuest(DISK);
    at.setClass(LIMIT);
    const core = await at.boot();
    await at.settle();
    at.libvirt.attachDisk(uuid, { target: 'vdb' });
    await at.cycles(2);
    assert.deepEqual(throttle(uuid, 'vdb'), OURS);
    at.libvirt.detachDisk(uuid, 'vdb');
    await at.cycles(2);
    at.libvirt.attachDisk(uuid, { target: 'vdb', throttle: THEIRS });
    await at.cycles(2);
    assert.deepEqual(throttle(uuid, 'vdb'), OURS);
    await core.operator.release({ domain: 'db-1' });
    await at.settle();
    assert.deepEqual(throttle(uuid, 'vdb'), THEIRS);
  });

  test('a disk that cannot be read at the moment keeps its limit', async () => {
    const uuid = at.addGuest({ name: 'db-1', disks: [{ target: 'vda' }, { target: 'vdb' }] });
    at.setClass(LIMIT);
    await at.boot();
    await at.settle();
    const disks = at.libvirt.disks.bind(at.libvirt);
    // One call of two is refused: the job of another call lasted too long.
    at.libvirt.disks = async (...args) => {
      const answer = await disks(...args);
      if (!answer.ok) return answer;
      const throttleProblem = 'Timed out during operation: cannot acquire state change lock';
      return {
        ok: true,
        value: answer.value.map((one) => (one.target === 'vdb' ? { ...one, throttle: null, throttleProblem } : one)),
      };
    };
    await at.cycles(14);
    assert.deepEqual(throttle(uuid, 'vdb'), OURS, 'lifted');
    // The same, found by a daemon that has just been started.
    await at.boot();
    await at.settle();
    await at.cycles(2);
    assert.deepEqual(throttle(uuid, 'vdb'), OURS, 'lifted after a restart');
  });

  test('a throttle whose reading back fails is neither called a failure nor forgotten', async () => {
    const uuid = at.addGuest(DISK);
    at.setClass('disk: { limit: { iops: 800 } }');
    const core = await at.boot();
    await at.settle();
    at.libvirt.occupy(uuid, true);
    at.setClass(LIMIT);
    await at.reload();
    assert.deepEqual(throttle(uuid), OURS);
    assert.equal(core.parts.counters.applyFailures['disk.limit'] ?? 0, 0, 'an alarm for nothing');
    const told = at.libvirt.calls.filter(({ op }) => op === 'tune').length;
    await at.cycles(6);
    assert.equal(at.libvirt.calls.filter(({ op }) => op === 'tune').length, told, 'told again and again');
    at.libvirt.occupy(uuid, false);
    await at.cycles(2);
    assert.equal(at.control(uuid, 'disk.limit')?.status, 'holds');
  });

  test('libvirtd ends right after it has set a throttle: a release in between forgets nothing', async () => {
    const uuid = at.addGuest(DISK);
    at.setClass('cpu: { limit: 50% }');
    const core = await at.boot();
    await at.settle();
    // QEMU was asked, and libvirtd died before it could say so or write it down.
    at.setClass(`cpu: { limit: 50% }\n${LIMIT}`);
    await core.parts.generations.reload();
    let died = false;
    at.tuneFault = (_uuid, calls): LibvirtOutcome<null> | null => {
      if (died || !calls.some(({ call }) => call === 'throttle')) return null;
      died = true;
      at.libvirt.throttleBehindLibvirt(uuid, 'vda', OURS);
      at.libvirt.disconnect('killed');
      return { ok: false, failure: 'disconnected', message: 'killed' };
    };
    await at.cycle();
    await at.cycle();
    assert.ok(died);
    await core.operator.release({ domain: 'db-1' });
    at.libvirt.reconnect();
    await at.cycles(16);
    const { value } = (await at.libvirt.disks(uuid, at.libvirt.id(uuid) ?? -1)) as {
      value: readonly { throttle: unknown }[];
    };
    assert.deepEqual(value[0]?.throttle, NONE);
  });
});

describe('what is put back, and when', () => {
  let at: EmulatedBench;
  beforeEach(() => {
    at = new EmulatedBench('v2-nested');
  });
  afterEach(() => at.remove());

  test('what others set beside our throttle stays when ours goes', async () => {
    const uuid = at.addGuest(DISK);
    at.setClass(LIMIT);
    const core = await at.boot();
    await at.settle();
    const both = { fields: { ...OURS.fields, read_bytes_sec: 4_000_000 }, group: null };
    at.libvirt.virsh(uuid, [{ call: 'throttle', disk: 'vda', throttle: both }]);
    await at.cycles(2);
    await core.operator.release({ domain: 'db-1' });
    await at.settle();
    assert.deepEqual(at.libvirt.tuning(uuid).disks[0]?.throttle, {
      fields: { read_bytes_sec: 4_000_000 },
      group: null,
    });
    assert.deepEqual([...core.parts.journal.uuids()], []);
  });

  test('a memory limit under which plugged memory has no room is given back', async () => {
    const uuid = at.addGuest({ name: 'db-1' });
    const before = at.value(uuid, 'memory', 'memory.max');
    at.setClass('memory: { limit: 3GiB }');
    await at.boot();
    await at.settle();
    assert.equal(at.value(uuid, 'memory', 'memory.max'), String(3 * GIB));
    at.libvirt.setHardware(uuid, { memoryBytes: 8 * GIB });
    at.libvirt.emit({ kind: 'device', uuid });
    await at.cycles(2);
    assert.equal(at.value(uuid, 'memory', 'memory.max'), before);
    assert.equal(at.control(uuid, 'memory.limit')?.status, 'refused');
    const writes = at.kernel.writes.length;
    await at.cycles(3);
    assert.equal(at.kernel.writes.length, writes, 'at rest');
  });

  test('nothing of the whole guest is put back while it starts', async () => {
    const uuid = at.addGuest({ name: 'db-1' });
    at.setClass('memory: { limit: 3GiB }\ncpu: { limit: 50% }');
    const { parts } = await at.boot();
    await at.settle();
    const domain = parts.inventory.get(uuid) ?? assert.fail('no guest');
    const plan = planDomain({
      domain: { ...domain, state: 'starting' },
      effective: null,
      host: parts.host,
      controls: parts.controls,
      sight: parts.inventory.sight(uuid),
      record: (control) => parts.journal.get(uuid, control),
      baselineUnknown: false,
      mayAdopt: true,
      unsettled: () => false,
      held: () => false,
      occasion: 'start',
    });
    assert.deepEqual(
      [...new Set(plan.controls.flatMap(({ writes }) => writes.map(({ key }) => key)))],
      ['vcpu0/cpu.max'],
    );
  });
});

describe('records of places that cannot be found', () => {
  test('a memory group that is not the guest’s own for a while costs no original', async () => {
    const at = new EmulatedBench('v1');
    const uuid = at.addGuest({ name: 'db-1' });
    const group = at.directory(uuid, 'memory');
    const before = at.value(uuid, 'memory', 'memory.limit_in_bytes');
    at.setClass('memory: { limit: 3GiB }');
    await at.boot();
    await at.settle();
    assert.equal(at.value(uuid, 'memory', 'memory.limit_in_bytes'), String(3 * 1024 ** 3));
    // Somebody's tool is in its memory group while the daemon starts anew, and the guest is released then.
    at.kernel.enter(group, 4242);
    const core = await at.boot();
    await core.operator.release({ domain: 'db-1' });
    await at.settle();
    at.kernel.group(group).processes.delete(4242);
    await at.boot();
    await at.cycles(2);
    assert.equal(at.value(uuid, 'memory', 'memory.limit_in_bytes'), before);
    await at.remove();
  });

  test('a group that was found to be shared once is found to be the guest’s own later', async () => {
    const at = new EmulatedBench('v1');
    const uuid = at.addGuest({ name: 'db-1' });
    const group = at.directory(uuid, 'memory');
    at.kernel.enter(group, 4242);
    at.setClass('memory: { limit: 3GiB }');
    await at.boot();
    await at.settle();
    assert.equal(at.control(uuid, 'memory.limit')?.status, 'unsupported');
    at.kernel.group(group).processes.delete(4242);
    await at.cycles(2);
    assert.equal(at.control(uuid, 'memory.limit')?.status, 'holds');
    await at.remove();
  });
});
