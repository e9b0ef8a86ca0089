/**
 * `virtslad launch` under SELinux enforcing and systemd: each guest wears categories of its own, its image the same ones,
 * and is limited in a scope of its own, from the moment in which it is QEMU.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { bootDisk } from '../support/boot-sector.js';
import { Cleanup } from '../support/cleanup.js';
import { output } from '../support/command.js';
import { Launched } from '../support/launch.js';
import { waitUntil } from '../support/wait.js';
import {
  cgroupOf,
  fileLabel,
  IMAGE_DIR,
  labelOf,
  PATIENCE_SECONDS,
  removePolicy,
  virtslad,
  waitUntilCompliant,
  writePolicies,
} from './support/system.js';

const LAUNCH = '/usr/lib/virtslad/dist/launch.js';
const POLICY = `version: 1
classes:
  launched:
    cpu: { limit: 20%, weight: 300 }
    svirt: { required: true, images: relabel }
  strange:
    svirt: { required: true, type: no_such_type_t }
assignments:
  - { class: launched, match: { name: "vm-launch-*" } }
`;

const cleanup = new Cleanup();
after(async () => assert.deepEqual(await cleanup.run(), []));

interface LaunchedGuest {
  readonly uuid: string;
  readonly image: string;
  readonly launched: Launched;
}

function launch(name: string, ...flags: string[]): LaunchedGuest {
  const uuid = randomUUID();
  const image = join(IMAGE_DIR, `vm-launch-${name}.img`);
  writeFileSync(image, bootDisk({ kind: 'burn' }));
  cleanup.defer(`remove ${image}`, async () => rmSync(image, { force: true }));
  const words = [
    '-name',
    `vm-launch-${name},debug-threads=on`,
    '-uuid',
    uuid,
    '-machine',
    'pc',
    '-accel',
    'tcg',
    '-m',
    '16',
  ];
  const more = ['-nodefaults', '-no-user-config', '-display', 'none', '-drive', `file=${image},format=raw,if=virtio`];
  const launched = new Launched([LAUNCH, ...flags, '--', 'qemu-system-x86_64', ...words, ...more], {});
  cleanup.defer(`kill vm-launch-${name}`, async () => void (await launched.kill('SIGKILL')));
  return { uuid, image, launched };
}

const levelOf = (label: string) => label.split(':').slice(3).join(':');

describe('guests that are launched', () => {
  let [first, second]: LaunchedGuest[] = [];
  before(async () => {
    writePolicies({ '50-launch.yaml': POLICY });
    cleanup.defer('remove the policy', async () => removePolicy('50-launch.yaml'));
    [first, second] = [launch('a'), launch('b')];
    for (const { launched } of [first, second]) await launched.untilQemu();
  });

  it('wear two categories each, different ones, and so do their images', async () => {
    const labels = [first, second].map((guest) => labelOf(guest?.launched.pid ?? 0));
    for (const label of labels) assert.match(label, /^system_u:system_r:svirt_tcg_t:s0:c\d+,c\d+$/);
    assert.notEqual(levelOf(labels[0] ?? ''), levelOf(labels[1] ?? ''));
    for (const [at, guest] of [first, second].entries()) {
      const worn = await fileLabel(guest?.image ?? '');
      assert.equal(worn, `system_u:object_r:svirt_image_t:${levelOf(labels[at] ?? '')}`);
    }
  });

  it('are in scopes of their own, limited', async () => {
    for (const guest of [first, second]) {
      const directory = cgroupOf(guest?.launched.pid ?? 0);
      assert.match(basename(directory), /^machine-virtslad\\x2dvm\\x2dlaunch\\x2d[ab]\\x2d.*\.scope$/);
      assert.match(directory, /\/machine\.slice\//);
      const at = directory.startsWith('/sys/') ? directory : join('/sys/fs/cgroup', directory);
      assert.equal(readFileSync(join(at, 'cpu.max'), 'utf8'), '20000 100000\n');
      assert.equal(readFileSync(join(at, 'cpu.weight'), 'utf8'), '300\n');
    }
  });

  it('are held by the daemon, and given back by it', async () => {
    assert.ok(first);
    await waitUntilCompliant(first.uuid);
    const directory = cgroupOf(first.launched.pid);
    const path = join(directory.startsWith('/sys/') ? directory : join('/sys/fs/cgroup', directory), 'cpu.max');
    await virtslad('release', first.uuid);
    await waitUntil('the quota to be off', () => readFileSync(path, 'utf8').startsWith('max'), {
      seconds: PATIENCE_SECONDS,
    });
    await virtslad('resume', first.uuid);
    await waitUntilCompliant(first.uuid);
    assert.equal(readFileSync(path, 'utf8'), '20000 100000\n');
  });

  it('end as QEMU ends, and their scopes with them', async () => {
    assert.ok(first && second);
    const scope = basename(cgroupOf(first.launched.pid));
    assert.equal((await first.launched.kill('SIGTERM')).code, 0);
    const isGone = async () =>
      !(await output('systemctl', ['list-units', '--all', '--no-legend', scope])).includes('.scope');
    await waitUntil('the scope to be gone', isGone, { seconds: PATIENCE_SECONDS });
    assert.equal((await second.launched.kill('SIGKILL')).signal, 'SIGKILL');
  });

  it('are not started under a type that the policy does not have', async () => {
    const { code, stderr } = await launch('strange', '--class', 'strange').launched.end;
    assert.equal(code, 126, stderr);
    assert.match(stderr, /\[LAUNCH_LABEL\]/);
    assert.match(stderr, /EINVAL/);
    assert.ok(!existsSync('/sys/fs/cgroup/machine.slice/machine-virtslad\\x2dvm\\x2dlaunch\\x2dstrange.scope'));
  });
});
