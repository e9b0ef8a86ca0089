/** The VM is what the other tests take it for, and the installed daemon does its work in it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Cleanup } from '../support/cleanup.js';
import { measureCores, measureUntil } from '../support/cpu-time.js';
import { Guest } from '../support/guest.js';
import {
  cgroupOf,
  fileLabel,
  IMAGE_DIR,
  labelOf,
  metric,
  PATIENCE_SECONDS,
  removePolicy,
  SYSTEM_LIBVIRT,
  systemctl,
  virsh,
  virtslad,
  waitUntilCompliant,
  writePolicies,
} from './support/system.js';

const POLICY = `version: 1
classes:
  quarter:
    cpu: { limit: 25% }
assignments:
  - match: { name: "vm-host-*" }
    class: quarter
`;

const cleanup = new Cleanup();
after(async () => assert.deepEqual(await cleanup.run(), []));

test('systemd is process 1, and the one cgroup tree is version 2', () => {
  assert.equal(readFileSync('/proc/1/comm', 'utf8').trim(), 'systemd');
  assert.match(readFileSync('/proc/self/mountinfo', 'utf8'), / \/sys\/fs\/cgroup \S+ .*- cgroup2 /);
  assert.doesNotMatch(readFileSync('/proc/mounts', 'utf8'), / cgroup /);
  const controllers = readFileSync('/sys/fs/cgroup/cgroup.controllers', 'utf8').trim().split(' ');
  for (const name of ['cpu', 'cpuset', 'io', 'memory']) assert.ok(controllers.includes(name), name);
});

test('SELinux enforces, for guests and for virtslad too', () => {
  assert.equal(readFileSync('/sys/fs/selinux/enforce', 'utf8'), '1');
  assert.equal(readFileSync('/sys/fs/selinux/booleans/virt_use_execmem', 'utf8'), '1 1');
  assert.match(labelOf(process.pid), /:unconfined_t:/);
});

test('libvirtd and the installed daemon are up, each in its domain', async (t) => {
  // Its socket starts it, and after two minutes without guests and clients it ends.
  await virsh('list');
  assert.equal(await systemctl('is-active', 'libvirtd.service'), 'active');
  assert.equal(await systemctl('is-active', 'virtslad.service'), 'active');
  assert.equal(await systemctl('is-enabled', 'virtslad.service'), 'enabled');
  const daemon = Number(await systemctl('show', '--property=MainPID', '--value', 'virtslad.service'));
  const libvirtd = Number(await systemctl('show', '--property=MainPID', '--value', 'libvirtd.service'));
  t.diagnostic(`virtslad ${labelOf(daemon)}, libvirtd ${labelOf(libvirtd)}`);
  assert.equal(labelOf(libvirtd).split(':')[2], 'virtd_t');
  assert.equal(labelOf(daemon).split(':')[2], 'virtslad_t');
  assert.equal(await metric('virtsla_build_info'), 1);
});

test('a guest gets its label, its scope, and the limit of its class', async (t) => {
  writePolicies({ 'vm-host.yaml': POLICY });
  cleanup.defer('remove the policy', () => removePolicy('vm-host.yaml'));
  const guest = new Guest(SYSTEM_LIBVIRT, IMAGE_DIR, { name: 'vm-host-burn' });
  cleanup.defer('destroy the guest', () => guest.destroy());
  await guest.start();
  const { pid } = guest;
  const label = labelOf(pid);
  assert.match(label, /^system_u:system_r:svirt_t:s0:c\d+,c\d+$/);
  const image = /file='([^']+)'/.exec(await virsh('dumpxml', guest.uuid))?.[1] ?? '';
  assert.equal(await fileLabel(image), label.replace('system_r:svirt_t', 'object_r:svirt_image_t'));
  const emulator = cgroupOf(pid);
  assert.match(emulator, /\/machine\.slice\/machine-qemu\\x2d\d+\\x2dvm\\x2dhost\\x2dburn\.scope\/libvirt\/emulator$/);

  await waitUntilCompliant(guest.uuid);
  const limit = readFileSync(join(emulator, '..', 'vcpu0', 'cpu.max'), 'utf8').trim();
  await guest.waitUntilBusy({ seconds: PATIENCE_SECONDS });
  const near = (cores: number): boolean => Math.abs(cores - 0.25) < 0.06;
  const cores = await measureUntil(near, async () => (await measureCores([pid], 4))[0] ?? 0);
  t.diagnostic(`${label}; cpu.max ${limit}, used ${cores.toFixed(3)} cores`);
  assert.equal(limit, '25000 100000');
  assert.ok(near(cores), `used ${cores}`);
  const { code, stdout } = await virtslad('explain', guest.name);
  assert.equal(code, 0);
  assert.match(stdout, /cpu\.limit/);
});
