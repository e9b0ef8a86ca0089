/** The host lane's own instruments, without virtslad: if one of these fails, the others prove nothing. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { READ_LARGE } from '../support/boot-sector.js';
import { controllerGroup } from '../support/controller-group.js';
import { cpuSeconds, measureCores, measureUntil, vcpuThreadIds } from '../support/cpu-time.js';
import { measureDiskNear, waitForRequests } from '../support/disk-rate.js';
import { groupDirectories, limitCores, readCpuFiles, readWeight } from '../support/kernel-view.js';
import { Lab } from '../support/lab.js';
import { makeFileSystem, makeLoopDevice } from '../support/loop-device.js';
import { Flood, LabNetwork, measureInterface } from '../support/network.js';
import { sleep, waitUntil } from '../support/wait.js';

const lab = await Lab.open();
after(() => lab.close());

test('a burning guest wants a core for each vCPU, an idle one nothing', async (t) => {
  const busy = await lab.startGuest({ name: 'busy', vcpus: 2 });
  const idle = await lab.startGuest({ name: 'idle', burn: false });
  await busy.waitUntilBusy();
  const [busyCores = 0, idleCores = 0] = await measureCores([busy.pid, idle.pid], 2);
  t.diagnostic(`busy ${busyCores.toFixed(2)} cores, idle ${idleCores.toFixed(3)} cores`);
  assert.deepEqual([...vcpuThreadIds(busy.pid).keys()].sort(), [0, 1]);
  // waitUntilBusy has seen both vCPUs want a CPU all the time; what they get depends on who else is here.
  assert.ok(busyCores > 0.4 && busyCores <= 2.05, `busy: ${busyCores}`);
  assert.ok(idleCores < 0.05, `idle: ${idleCores}`);
  await busy.destroy();
  await idle.destroy();
});

test("a limit set by libvirt is read back from the kernel and measured at the guest's threads", async (t) => {
  const guest = await lab.startGuest({ name: 'capped' });
  const { groups, pid } = guest;
  assert.equal(limitCores(groups, 'vcpu0'), null);
  assert.equal(Math.round(readWeight(groups)), 100);
  await guest.waitUntilBusy();
  const { code, stderr } = await guest.virsh(['schedinfo', guest.uuid, '--set', 'vcpu_quota=30000']);
  assert.equal(code, 0, stderr);
  assert.equal(limitCores(groups, 'vcpu0'), 0.3);
  assert.equal(limitCores(groups, 'emulator'), null);
  assert.ok(Object.keys(readCpuFiles(groups)).length >= 3 * groupDirectories(groups).length - 2);
  const [cores = 0] = await measureCores([pid], 3);
  t.diagnostic(`limit 0.30 cores, used ${cores.toFixed(3)}`);
  assert.ok(Math.abs(cores - 0.3) < 0.04, `used ${cores}`);
});

test('a guest reads its disk for ever, and QEMU holds it at a limit in requests and in bytes', async (t) => {
  const guest = await lab.startGuest({ name: 'reader', program: READ_LARGE });
  await waitForRequests(guest, 'vda');
  const limit = async (...args: string[]): Promise<void> => {
    const { code, stderr } = await guest.virsh(['blkdeviotune', guest.uuid, 'vda', '--live', ...args]);
    assert.equal(code, 0, stderr);
  };
  await limit('--read-iops-sec', '20');
  const requests = await measureDiskNear(guest, 'vda', 'reads', 20);
  await limit('--read-iops-sec', '0', '--read-bytes-sec', '500000');
  const bytes = await measureDiskNear(guest, 'vda', 'readBytes', 5e5);
  t.diagnostic(`limits 20 and 500 kB a second: ${requests.toFixed(1)} and ${(bytes / 1e3).toFixed(0)} kB`);
  assert.ok(Math.abs(requests - 20) <= 2, `requests: ${requests}`);
  assert.ok(Math.abs(bytes - 5e5) <= 5e4, `bytes: ${bytes}`);
  await guest.destroy();
});

test('with its page cache bypassed, the kernel holds it at a limit on the whole disk', async (t) => {
  const device = await makeLoopDevice(lab, { partitioned: true });
  const disk = { path: device.partition?.path ?? '', isBlockDevice: true, cache: 'none' } as const;
  const drive = { path: null, cdrom: true } as const;
  const guest = await lab.startGuest({ name: 'direct', program: { ...READ_LARGE, disk: 1 }, disks: [disk, drive] });
  const { version, directory } = controllerGroup(guest.pid, 'blkio');
  if (version !== 1) return t.skip('needs the blkio controller of cgroup v1');
  await waitForRequests(guest, 'vdb');
  const file = join(directory, 'blkio.throttle.read_iops_device');
  assert.throws(() => writeFileSync(file, `${device.partition?.number} 50`), { code: 'ENODEV' });
  // The kernel counts in slices of a tenth of a second: 50 are 5 in each, 25 would come out as 20.
  writeFileSync(file, `${device.number} 50`);
  const requests = await measureDiskNear(guest, 'vdb', 'reads', 50);
  writeFileSync(file, `${device.number} 0`);
  writeFileSync(join(directory, 'blkio.throttle.read_bps_device'), `${device.number} 500000`);
  const bytes = await measureDiskNear(guest, 'vdb', 'readBytes', 5e5);
  t.diagnostic(`limits 50 and 500 kB a second: ${requests.toFixed(1)} and ${(bytes / 1e3).toFixed(0)} kB`);
  assert.ok(Math.abs(requests - 50) <= 5, `requests: ${requests}`);
  assert.ok(Math.abs(bytes - 5e5) <= 5e4, `bytes: ${bytes}`);
  await guest.destroy();
  const directoryOnIt = await makeFileSystem(lab, device);
  writeFileSync(join(directoryOnIt, 'file'), 'x');
});

test('a guest that touches its memory is accounted for all of it', async (t) => {
  const mebibyte = 1024 * 1024;
  const program = { kind: 'touch', toBytes: 48 * mebibyte } as const;
  const guest = await lab.startGuest({ name: 'touch', program, memoryMebibytes: 48 });
  const { version, directory } = controllerGroup(guest.pid, 'memory');
  const file = join(directory, version === 1 ? 'memory.usage_in_bytes' : 'memory.current');
  const usedBytes = (): number => Number(readFileSync(file, 'utf8'));
  await waitUntil('the memory to be used', () => usedBytes() > 48 * mebibyte, { seconds: 20 });
  t.diagnostic(`48 MiB of memory: ${(usedBytes() / mebibyte).toFixed(1)} MiB used`);
  await guest.destroy();
});

test('vCPUs, disks and interfaces are plugged into a guest without an operating system, and taken out', async (t) => {
  await LabNetwork.open(lab);
  const guest = await lab.startGuest({ name: 'plugged', maxVcpus: 2 });
  await guest.waitUntilBusy();
  await guest.plugVcpus(2);
  assert.deepEqual([...vcpuThreadIds(guest.pid).keys()].sort(), [0, 1]);
  assert.ok(existsSync(join(guest.groups.domainDir, 'vcpu1')));
  const second = vcpuThreadIds(guest.pid).get(1) ?? 0;
  await waitUntil('the new vCPU to burn', () => cpuSeconds(guest.pid, second) > 0.2, { seconds: 20 });

  const path = join(lab.directory, 'images', 'plugged.img');
  writeFileSync(path, Buffer.alloc(1024 * 1024), { mode: 0o644 });
  await guest.plugDisk({ path, target: 'vdb' });
  assert.equal((await guest.virsh(['blkdeviotune', guest.uuid, 'vdb', '--live', '--read-iops-sec', '100'])).code, 0);
  await guest.unplugDisk('vdb');

  const mac = '52:54:00:76:73:01';
  await guest.plugInterface({ source: 'ethernet', mac });
  const tap = await guest.tap();
  t.diagnostic(`vcpu1, vdb and ${tap} were there`);
  assert.ok(existsSync(`/sys/class/net/${tap}`));
  await guest.unplugInterface(mac);
  assert.ok(!existsSync(`/sys/class/net/${tap}`));
  await guest.destroy();
});

test('what goes to a guest and what comes from it is measured at the taps of a bridge', async (t) => {
  const network = await LabNetwork.open(lab);
  if (network === null) return t.skip('this host has no taps');
  const bridge = await network.makeBridge();
  const interfaces = [{ source: { bridge } }];
  const sink = await lab.startGuest({ name: 'sink', burn: false, interfaces });
  const sinkTap = await sink.tap();
  const limit = async (guest: typeof sink, tap: string, direction: string, kilobytes: number): Promise<void> => {
    const { code, stderr } = await guest.virsh(['domiftune', guest.uuid, tap, '--live', direction, String(kilobytes)]);
    assert.equal(code, 0, stderr);
  };
  const nearHalf = (rate: number): boolean => Math.abs(rate - 5e5) <= 5e4;
  const measure = (): Promise<number> => measureUntil(nearHalf, () => measureInterface(sinkTap, 'tx', 2));

  const flood = await Flood.start(bridge);
  await limit(sink, sinkTap, '--inbound', 500);
  const inbound = await measure();
  await limit(sink, sinkTap, '--inbound', 0);
  flood.stop();

  const source = await lab.startGuest({ name: 'source', program: { kind: 'send' }, interfaces });
  const sourceTap = await source.tap();
  await waitUntil('frames', async () => (await measureInterface(sinkTap, 'tx', 0.2)) > 1e6, { seconds: 20 });
  await limit(source, sourceTap, '--outbound', 500);
  // libvirt's default burst is a second's worth.
  await sleep(0.5);
  const outbound = await measure();
  t.diagnostic(`limit 500 kB/s: in ${(inbound / 1e3).toFixed(1)}, out ${(outbound / 1e3).toFixed(1)}`);
  if (network.missing.length > 0)
    t.diagnostic(`with a stand-in for tc: the kernel has no ${network.missing.join(', ')}`);
  assert.ok(nearHalf(inbound), `in: ${inbound}`);
  assert.ok(nearHalf(outbound), `out: ${outbound}`);
  await source.destroy();
  await sink.destroy();
});

test('guests outlive a restart and a crash of their libvirtd', async () => {
  const guest = await lab.startGuest({ name: 'survivor', burn: false });
  const { pid } = guest;
  await lab.libvirtd.restart();
  await lab.libvirtd.restart('SIGKILL');
  assert.equal(guest.pid, pid);
  assert.equal((await guest.virsh(['domstate', guest.uuid])).stdout.trim(), 'running');
  const directory = guest.groups.domainDir;
  await guest.destroy();
  assert.ok(!existsSync(`/proc/${pid}`));
  assert.ok(!existsSync(directory));
});
