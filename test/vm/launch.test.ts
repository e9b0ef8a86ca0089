/**
 * `virtslad launch` under SELinux enforcing and systemd: each guest wears categories of its own, its image the same ones,
 * and is limited in a scope of its own, before its first instruction. What it is given to read and write it can use.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { levelText } from '../../src/svirt/label.js';
import { bootDisk } from '../support/boot-sector.js';
import { Cleanup } from '../support/cleanup.js';
import { execute, output } from '../support/command.js';
import { Launched } from '../support/launch.js';
import { sleep, waitUntil } from '../support/wait.js';
import { announceDenial } from './support/announce.js';
import { whenSeen } from './support/labels.js';
import {
  cgroupOf,
  fileLabel,
  IMAGE_DIR,
  labelOf,
  PATIENCE_SECONDS,
  removePolicy,
  systemctl,
  virtslad,
  waitUntilCompliant,
  writePolicies,
} from './support/system.js';

const POLICY = `version: 1
classes:
  launched:
    cpu: { limit: 20%, weight: 300 }
    svirt: { required: true, images: relabel }
  verified:
    svirt: { required: true, images: verify }
  warned:
    svirt: { images: verify }
  strange:
    svirt: { required: true, type: no_such_type_t }
assignments:
  - { class: launched, match: { name: "vm-launch-*" } }
`;
const MACHINE = '-machine pc -accel tcg -m 16 -nodefaults -no-user-config -display none'.split(' ');
const MONITOR = ['-S', '-monitor', 'stdio'];

const cleanup = new Cleanup();
after(async () => assert.deepEqual(await cleanup.run(), []));

interface LaunchedGuest {
  readonly uuid: string;
  readonly image: string;
  readonly launched: Launched;
}

function launch(name: string, flags: readonly string[] = [], more: readonly string[] = []): LaunchedGuest {
  const uuid = randomUUID();
  const image = join(IMAGE_DIR, `vm-launch-${uuid}.img`);
  writeFileSync(image, bootDisk({ kind: 'burn' }));
  cleanup.defer(`remove ${image}`, async () => rmSync(image, { force: true }));
  const drive = ['-drive', `file=${image},format=raw,if=virtio`];
  const words = ['qemu-system-x86_64', '-name', `vm-launch-${name}`, '-uuid', uuid, ...MACHINE, ...drive, ...more];
  const launched = new Launched(['virtslad', 'launch', ...flags, '--', ...words], { filesIn: '/tmp' });
  cleanup.defer(`kill ${uuid}`, async () => void (await launched.kill('SIGKILL')));
  return { uuid, image, launched };
}

const remembered = () => readFileSync('/var/lib/virtslad/labels.json', 'utf8');

before(async () => {
  writePolicies({ '50-launch.yaml': POLICY });
  cleanup.defer('remove the policy', async () => removePolicy('50-launch.yaml'));
  cleanup.defer('forbid relabelling', async () => void (await output('setsebool', ['virtslad_relabel_images', 'off'])));
  await output('setsebool', ['virtslad_relabel_images', 'on']);
});

describe('guests that are launched', () => {
  let [first, second]: LaunchedGuest[] = [];
  before(async () => {
    // Stopped before its first instruction.
    [first, second] = [launch('a'), launch('b', [], ['-S'])];
    await Promise.all([first, second].map(({ launched }) => launched.untilQemu(PATIENCE_SECONDS)));
  });

  it('wear two categories each, different ones, and so do their images', async (t) => {
    const labels = [first, second].map((guest) => labelOf(guest?.launched.pid ?? 0));
    t.diagnostic(labels.join(' '));
    for (const label of labels) assert.match(label, /^system_u:system_r:svirt_t:s0:c\d+,c\d+$/);
    assert.notEqual(levelText(labels[0] ?? ''), levelText(labels[1] ?? ''));
    for (const [at, guest] of [first, second].entries()) {
      const worn = await fileLabel(guest?.image ?? '');
      assert.equal(worn, `system_u:object_r:svirt_image_t:${levelText(labels[at] ?? '')}`);
    }
  });

  it('are in scopes of their own, limited, also the one that has not run an instruction', async (t) => {
    for (const guest of [first, second]) {
      const directory = cgroupOf(guest?.launched.pid ?? 0);
      assert.match(basename(directory), /^machine-virtslad\\x2dvm\\x2dlaunch\\x2d[ab]\\x2d.*\.scope$/);
      assert.equal(basename(dirname(directory)), 'machine.slice');
      assert.equal(readFileSync(join(directory, 'cpu.max'), 'utf8'), '20000 100000\n');
      assert.equal(readFileSync(join(directory, 'cpu.weight'), 'utf8'), '300\n');
    }
    const stat = join(cgroupOf(first?.launched.pid ?? 0), 'cpu.stat');
    const used = () => Number(/^usage_usec (\d+)$/m.exec(readFileSync(stat, 'utf8'))?.[1]) / 1e6;
    const [began, before] = [performance.now(), used()];
    await sleep(4);
    const cores = ((used() - before) / (performance.now() - began)) * 1000;
    t.diagnostic(`limit 0.200 cores, used ${cores.toFixed(3)}`);
    assert.ok(cores < 0.22, String(cores));
  });

  it('are held by the daemon in the class of their launch, and given back by it', async () => {
    assert.ok(first);
    await waitUntilCompliant(first.uuid);
    const { domain } = await whenSeen('its label to be judged', first.uuid, ({ label }) => label !== null);
    assert.equal(domain.className, 'launched');
    assert.deepEqual(domain.label?.violations, []);
    const quota = join(cgroupOf(first.launched.pid), 'cpu.max');
    // systemd then asks for the label of the file that it keeps of the scope, and not for its own.
    await systemctl('daemon-reload');
    assert.equal((await virtslad('release', first.uuid)).code, 0);
    await waitUntil('the quota to be off', () => readFileSync(quota, 'utf8').startsWith('max'), {
      seconds: PATIENCE_SECONDS,
    });
    assert.equal((await virtslad('resume', first.uuid)).code, 0);
    await waitUntil('the quota to be back', () => readFileSync(quota, 'utf8') === '20000 100000\n', {
      seconds: PATIENCE_SECONDS,
    });
  });

  it('end as QEMU ends; their scopes go, and their pairs are free', async () => {
    assert.ok(first && second);
    const scope = cgroupOf(first.launched.pid);
    assert.ok(remembered().includes(first.uuid));
    const { code, stderr } = await first.launched.kill('SIGTERM');
    assert.equal(code, 0, stderr);
    assert.match(stderr, /terminating on signal 15/);
    await waitUntil('the scope to be gone', () => !existsSync(scope), { seconds: PATIENCE_SECONDS });
    assert.equal((await second.launched.kill('SIGKILL')).signal, 'SIGKILL');
    const isFree = () => ![first, second].some((guest) => remembered().includes(guest?.uuid ?? ''));
    await waitUntil('the pairs to be free', isFree, { seconds: PATIENCE_SECONDS, everyMs: 250 });
  });
});

describe('a launch', () => {
  it('is refused when it cannot be had as asked, and only warned of where the class does not insist', async () => {
    const strange = launch('strange', ['--class', 'strange']);
    const verified = launch('verified', ['--class', 'verified']);
    const [ofType, ofImage] = await Promise.all([strange.launched.end, verified.launched.end]);
    assert.equal(ofType.code, 126, ofType.stderr);
    assert.match(ofType.stderr, /EINVAL.*\[LAUNCH_LABEL\]/);
    assert.equal(ofImage.code, 1, ofImage.stderr);
    assert.match(ofImage.stderr, /wears .*, the guest needs .*\[LAUNCH_IMAGE\]/);
    for (const { uuid } of [strange, verified]) assert.ok(!remembered().includes(uuid), uuid);

    const warned = launch('warned', ['--class', 'warned']);
    // At s0 every guest may reach it.
    await output('chcon', ['system_u:object_r:svirt_image_t:s0', warned.image]);
    await warned.launched.untilEnds(PATIENCE_SECONDS);
    assert.match(warned.launched.stderr, /wears system_u:object_r:svirt_image_t:s0, the guest needs/);
    assert.equal((await warned.launched.kill('SIGTERM')).code, 0);
  });

  it('with a hostile name and a hostile path opens nothing outside its roots', async () => {
    const link = join(IMAGE_DIR, 'vm-launch-link.img');
    symlinkSync('/etc/passwd', link);
    cleanup.defer('remove the link', async () => rmSync(link, { force: true }));
    const worn = await fileLabel('/etc/passwd');
    const drive = ['-drive', `file=${link},format=raw,if=virtio`];
    const linked = launch('linked', [], drive);
    const named = launch('/../../../etc/hostile\u001b]0;x\u0007%n\nx', [], ['-S']);
    const { code, stderr } = await linked.launched.end;
    assert.equal(code, 1, stderr);
    assert.match(stderr, /\[LAUNCH_IMAGE\]/);
    assert.equal(await fileLabel('/etc/passwd'), worn);
    await named.launched.untilEnds(PATIENCE_SECONDS);
    const scope = cgroupOf(named.launched.pid);
    assert.match(basename(scope), /^machine-virtslad\\x2d[\w\\]+\.scope$/);
    assert.equal(dirname(scope), '/sys/fs/cgroup/machine.slice');
    assert.ok(!named.launched.stderr.includes('\u001b'));
    for (const place of ['/etc', '/run', '/run/virtslad', '/var/lib/virtslad', '/sys/fs/cgroup']) {
      assert.deepEqual(
        readdirSync(place).filter((name) => name.includes('hostile')),
        [],
        place,
      );
    }
    assert.equal((await named.launched.kill('SIGTERM')).code, 0);
  });
});

describe('what a guest is given to read and write', () => {
  const qemu = ['--', 'qemu-system-x86_64', '-name', 'vm-launch-io', ...MACHINE, ...MONITOR];
  const words = ['virtslad-launch', ...qemu];

  it('may be files that who started it has opened: in a home, a log; and in /tmp, as above', async () => {
    for (const filesIn of ['/root', '/var/log']) {
      const { code, stdout, stderr } = await new Launched(words, { input: 'info status\nquit\n', filesIn }).end;
      assert.equal(code, 0, stderr);
      assert.match(stdout, /VM status: paused/, filesIn);
      assert.ok(!stderr.includes('/dev/null'), stderr);
    }
  });

  it('may be pipes made at s0', async () => {
    const script = 'printf "info status\\nquit\\n" | "$@" | cat >/tmp/vm-launch-piped.txt';
    cleanup.defer('remove the file', async () => rmSync('/tmp/vm-launch-piped.txt', { force: true }));
    const run = ['-l', 's0', 'sh', '-c', script, 'sh', ...words];
    const { code, stderr } = await execute('runcon', run, { timeoutSeconds: PATIENCE_SECONDS });
    assert.equal(code, 0, stderr);
    assert.match(readFileSync('/tmp/vm-launch-piped.txt', 'utf8'), /VM status: paused/);
  });

  it('cannot be pipes made above it, which is said before', async (t) => {
    announceDenial({ source: 'svirt_t', tclass: 'fifo_file', reason: 'handed a pipe of a shell at the full range' });
    announceDenial({ source: 'svirt_t', tclass: 'unix_stream_socket', reason: 'the same, a socket' });
    const script =
      'printf "info status\\nquit\\n" >/tmp/vm-launch-in.txt; "$@" </tmp/vm-launch-in.txt 2>/tmp/vm-launch-above.txt | cat';
    cleanup.defer('remove the file', async () => rmSync('/tmp/vm-launch-in.txt', { force: true }));
    cleanup.defer('remove the file', async () => rmSync('/tmp/vm-launch-above.txt', { force: true }));
    const run = ['sh', '-c', script, 'sh', ...words];
    const above = await execute('runcon', ['-l', 's0-s0:c0.c1023', ...run], { timeoutSeconds: PATIENCE_SECONDS });
    assert.equal(above.stdout, '');
    const said = readFileSync('/tmp/vm-launch-above.txt', 'utf8');
    t.diagnostic(said.trim());
    assert.match(said, /may not use stdout \(a pipe\), made at s0-s0:c0\.c1023, and gets \/dev\/null/);
    const below = await execute('runcon', ['-l', 's0', ...run], { timeoutSeconds: PATIENCE_SECONDS });
    assert.match(below.stdout, /VM status: paused/);
  });

  it('is a terminal', async () => {
    const typed = ['script', '-qec', words.join(' '), '/dev/null'];
    const { code, stdout, stderr } = await new Launched(typed, { input: 'info status\nquit\n' }).end;
    assert.equal(code, 0, stderr);
    assert.match(stdout, /VM status: paused/);
  });
});

describe('a unit', () => {
  const qemu = ['--', 'qemu-system-x86_64', '-name', 'vm-launch-unit', ...MACHINE, '-nonsense'];
  const run = async (unit: string, command: readonly string[]) => {
    const { code } = await execute('systemd-run', ['--wait', '--collect', '--quiet', `--unit=${unit}`, ...command], {
      timeoutSeconds: PATIENCE_SECONDS,
    });
    const said = await output('journalctl', ['-u', unit, '-o', 'cat', '--no-pager']);
    return { code, said };
  };

  it('starts guests by virtslad-launch, and gets their exit code', async () => {
    const { code, said } = await run('vm-launch-unit', ['virtslad-launch', ...qemu]);
    assert.match(said, /-nonsense: invalid option/);
    assert.equal(code, 1);
  });

  it('is told so when it starts virtslad launch', async () => {
    const into = { target: 'virtslad_launch_exec_t', tclass: 'file' };
    announceDenial({ source: 'virtslad_t', ...into, reason: 'the daemon’s domain starts no guests' });
    const { code, said } = await run('vm-launch-wrong', ['virtslad', 'launch', ...qemu]);
    assert.equal(code, 1);
    assert.match(said, /daemon's domain, virtslad_t.*\[LAUNCH_LABEL\]/);
    assert.match(said, /write virtslad-launch/);
  });
});
