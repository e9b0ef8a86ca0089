/**
 * The daemon in its own SELinux domain: it does all of its work there without one denial (the lane fails this file on any
 * that is not announced), and what it need not do is denied to it, tried from inside its domain.
 */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Cleanup } from '../support/cleanup.js';
import { execute, output } from '../support/command.js';
import { Guest } from '../support/guest.js';
import { sleep, waitUntil } from '../support/wait.js';
import { announceDenial, auditedDenials } from './support/announce.js';
import type { Denial } from './support/denials.js';
import {
  cgroupOf,
  fileLabel,
  IMAGE_DIR,
  labelOf,
  metric,
  PATIENCE_SECONDS,
  removePolicy,
  restartDaemon,
  SYSTEM_LIBVIRT,
  systemctl,
  virsh,
  virtslad,
  waitUntilCompliant,
  writePolicies,
} from './support/system.js';
import type { TryResult } from './support/tries.js';

const POLICY = `version: 1
classes:
  confined:
    cpu: { guarantee: 20%, limit: 50%, burst: 10ms }
    memory: { guarantee: 25%, limit: 256MiB }
    disk: { limit: { iops: 300 } }
    svirt: { required: true, images: verify }
assignments:
  - { class: confined, match: { name: "vm-confined-*" } }
`;

/** Tries that SELinux is asked about, and the denial that has to follow. The others the kernel refuses before. */
const DENIED: Readonly<Record<string, Pick<Denial, 'target' | 'tclass'> & { readonly permission: string }>> = {
  'choose the label of a program': { target: 'virtslad_t', tclass: 'process', permission: 'setexec' },
  'choose the label of new files': { target: 'virtslad_t', tclass: 'process', permission: 'setfscreate' },
  'write its own label': { target: 'virtslad_t', tclass: 'process', permission: 'setcurrent' },
  "change an image's type": { target: 'virtslad_t', tclass: 'capability', permission: 'fowner' },
  "change an image's categories": { target: 'virtslad_t', tclass: 'capability', permission: 'fowner' },
  'change the label of /etc/passwd': { target: 'etc_t', tclass: 'file', permission: 'relabelfrom' },
  'read an image': { target: 'svirt_image_t', tclass: 'file', permission: 'read' },
  'write an image': { target: 'svirt_image_t', tclass: 'file', permission: 'write' },
  'read a disk of the host': { target: 'fixed_disk_device_t', tclass: 'blk_file', permission: 'read' },
  'read memory of a guest': { target: 'virtslad_t', tclass: 'capability', permission: 'sys_ptrace' },
  'signal a guest': { target: 'virtslad_t', tclass: 'capability', permission: 'kill' },
  "write a guest's label": { target: 'svirt_t', tclass: 'file', permission: 'write' },
  "talk to a guest's monitor": { target: 'svirt_image_t', tclass: 'sock_file', permission: 'write' },
  'connect to ssh': { target: 'ssh_port_t', tclass: 'tcp_socket', permission: 'name_connect' },
  'connect to its own port': { target: 'virtslad_port_t', tclass: 'tcp_socket', permission: 'name_connect' },
  'listen on another port': { target: 'unreserved_port_t', tclass: 'tcp_socket', permission: 'name_bind' },
  'send datagrams': { target: 'virtslad_t', tclass: 'udp_socket', permission: 'create' },
  'write /etc/passwd': { target: 'etc_t', tclass: 'file', permission: 'write' },
  'read /etc/shadow': { target: 'shadow_t', tclass: 'file', permission: 'read' },
  'write its own policies': { target: 'virtslad_etc_t', tclass: 'file', permission: 'write' },
  'write its own code': { target: 'virtslad_exec_t', tclass: 'file', permission: 'write' },
  'write into /tmp': { target: 'tmp_t', tclass: 'dir', permission: 'write' },
  'write a sysctl': { target: 'sysctl_vm_t', tclass: 'file', permission: 'write' },
  'write to sysfs': { target: 'sysfs_t', tclass: 'file', permission: 'write' },
  'make SELinux permissive': { target: 'security_t', tclass: 'file', permission: 'write' },
  'make a cgroup': { target: 'cgroup_t', tclass: 'dir', permission: 'write' },
  'run QEMU': { target: 'qemu_exec_t', tclass: 'file', permission: 'execute' },
  'run the launcher': { target: 'virtslad_launch_exec_t', tclass: 'file', permission: 'execute' },
  'load a kernel module': { target: 'kmod_exec_t', tclass: 'file', permission: 'execute' },
};

const cleanup = new Cleanup();
after(async () => assert.deepEqual(await cleanup.run(), []));
const guests = ['a', 'b'].map(
  (name) => new Guest(SYSTEM_LIBVIRT, IMAGE_DIR, { name: `vm-confined-${name}`, burn: false }),
);
const [first, second] = guests as [Guest, Guest];

async function daemonPid(): Promise<number> {
  return Number(await systemctl('show', '--property=MainPID', '--value', 'virtslad.service'));
}

before(async () => {
  writePolicies({ 'vm-confined.yaml': POLICY });
  cleanup.defer('remove the policy', () => removePolicy('vm-confined.yaml'));
  for (const guest of guests) {
    cleanup.defer(`destroy ${guest.name}`, () => guest.destroy());
    await guest.start();
  }
});

describe('the daemon in its domain', () => {
  it('wears its own label, and so do its files and its port', async () => {
    assert.match(labelOf(await daemonPid()), /^system_u:system_r:virtslad_t:s0$/);
    for (const [path, type] of [
      ['/usr/lib/virtslad/dist/main.js', 'virtslad_exec_t'],
      ['/etc/virtslad/policies.d', 'virtslad_etc_t'],
      ['/var/lib/virtslad', 'virtslad_var_lib_t'],
      ['/run/virtslad/virtslad.sock', 'virtslad_runtime_t'],
      ['/run/virtslad/lock', 'virtslad_runtime_t'],
    ] as const) {
      assert.equal((await fileLabel(path)).split(':')[2], type, path);
    }
  });

  it('keeps two guests in their class, also when they are edited behind its back', async () => {
    for (const { uuid } of guests) await waitUntilCompliant(uuid);
    const limit = join(cgroupOf(first.pid), '..', 'vcpu0', 'cpu.max');
    assert.equal(readFileSync(limit, 'utf8').trim(), '50000 100000');
    writeFileSync(limit, 'max 100000');
    const repaired = () => readFileSync(limit, 'utf8').trim() === '50000 100000';
    await waitUntil('the limit to be repaired', repaired, { seconds: PATIENCE_SECONDS, everyMs: 250 });
  });

  it('answers an operator', async () => {
    // Those that the daemon itself answers or obeys; the others run in the domain of who types them.
    for (const words of [
      ['status'],
      ['hold', first.name, '--for', '2h'],
      ['release', second.name],
      ['resume', '--all'],
    ]) {
      const { code, stdout, stderr } = await virtslad(...words);
      assert.equal(code, 0, `${words.join(' ')}: ${stdout}${stderr}`);
    }
  });

  it('sees a policy that has changed, and lives through restarts of its own and of libvirtd', async () => {
    writePolicies({ 'vm-confined.yaml': POLICY.replace('limit: 50%', 'limit: 40%') });
    const limit = join(cgroupOf(second.pid), '..', 'vcpu0', 'cpu.max');
    const taken = () => readFileSync(limit, 'utf8').trim() === '40000 100000';
    await waitUntil('the new limit', taken, { seconds: PATIENCE_SECONDS, everyMs: 250 });
    await systemctl('reload', 'virtslad.service');
    await restartDaemon();
    await systemctl('restart', 'libvirtd.service');
    const connected = async () => (await metric('virtsla_libvirt_connected')) === 1;
    await waitUntil('libvirt to be there again', connected, { seconds: PATIENCE_SECONDS, everyMs: 500 });
    for (const { uuid } of guests) await waitUntilCompliant(uuid);
    assert.match(labelOf(await daemonPid()), /:virtslad_t:/);
  });
});

describe('what the daemon need not do', () => {
  const program = '/usr/local/lib/virtslad-tries.mjs';
  const launcher = '/usr/local/lib/virtslad-launch-try';
  const resultFile = '/var/lib/virtslad/tries.json';
  let outcomes = new Map<string, string>();
  let denials: Denial[] = [];

  before(async () => {
    const here = join(import.meta.dirname, 'support', 'tries.js');
    writeFileSync(program, `#!/usr/bin/env node\nprocess.env.VIRTSLAD_TRIES = '${here}';\nawait import('${here}');\n`);
    cleanup.defer('remove the tries', () => {
      for (const path of [program, launcher, resultFile]) rmSync(path, { force: true });
    });
    chmodSync(program, 0o755);
    await output('chcon', ['-t', 'virtslad_exec_t', program]);
    writeFileSync(launcher, '#!/usr/bin/env true\n', { mode: 0o755 });
    await output('chcon', ['-t', 'virtslad_launch_exec_t', launcher]);
    // Whatever it is denied here is meant.
    announceDenial({ source: 'virtslad_t', reason: 'tried on purpose, from inside the domain' });
    announceDenial({ source: 'virtslad_facts_t', reason: 'tried on purpose, through a shell' });
    const image = /file='([^']+)'/.exec(await virsh('dumpxml', first.uuid))?.[1] ?? '';
    const id = /\d+/.exec(await virsh('domid', first.uuid))?.[0] ?? '';
    const monitor = `/var/lib/libvirt/qemu/domain-${id}-${first.name}/monitor.sock`;
    assert.ok(existsSync(monitor), monitor);
    const earlier = await auditedDenials();
    const words = [program, String(first.pid), image, monitor, resultFile];
    const unit = ['--wait', '--collect', '--quiet', '--unit=virtslad-tries'];
    const { code, stderr } = await execute('systemd-run', [...unit, ...words], { timeoutSeconds: 120 });
    const journal = await output('journalctl', ['-u', 'virtslad-tries', '-o', 'cat', '-n', '20', '--no-pager']);
    assert.equal(code, 0, `${stderr}\n${journal}`);
    const results = JSON.parse(readFileSync(resultFile, 'utf8')) as TryResult[];
    outcomes = new Map(results.map(({ name, outcome }) => [name, outcome]));
    await sleep(1);
    denials = await auditedDenials(earlier);
  });

  it('is tried where what is needed works', () => {
    for (const name of [
      'read its own policies',
      "read a guest's label",
      "read an image's label",
      'ask whether SELinux enforces',
    ]) {
      assert.equal(outcomes.get(name), 'done', name);
    }
  });

  it('is denied, each of it', (t) => {
    const done: string[] = [];
    for (const [name, outcome] of outcomes) {
      t.diagnostic(`${name}: ${outcome}`);
      if (outcome === 'done') done.push(name);
    }
    assert.equal(done.length, 4, done.join(', '));
  });

  it('leaves a denial in the audit log', () => {
    const missing = Object.entries(DENIED).filter(
      ([, { target, tclass, permission }]) =>
        !denials.some(
          (denial) =>
            denial.source === 'virtslad_t' &&
            denial.target === target &&
            denial.tclass === tclass &&
            denial.permissions.includes(permission) &&
            !denial.permissive,
        ),
    );
    assert.deepEqual(missing, []);
  });
});
