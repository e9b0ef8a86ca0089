/** `virtslad launch` with real QEMU guests: in its class from the first instruction, itself in every other respect. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { bootDisk } from '../support/boot-sector.js';
import { measureCores, measureUntil } from '../support/cpu-time.js';
import { Lab } from '../support/lab.js';
import { LaunchBench, type Launched } from '../support/launch.js';
import { waitUntil } from '../support/wait.js';

const lab = await Lab.open();
after(() => lab.close());

const POLICY = `version: 1
classes:
  held:
    cpu: { limit: 10%, weight: 200 }
    memory: { limit: 512MiB }
  other:
    cpu: { limit: 50% }
  labelled:
    svirt: { required: true }
assignments:
  - { class: other, match: { name: "*other*" } }
`;
const bench = new LaunchBench(lab.directory, { policy: POLICY });
lab.cleanup.defer('kill launched guests', () => bench.close());
const UNIFIED = existsSync('/sys/fs/cgroup/cgroup.controllers');
/** Under systemd a guest has a scope, which systemd limits and removes. */
const SYSTEMD = existsSync('/run/systemd/system');

const image = join(lab.directory, 'launch.img');
writeFileSync(image, bootDisk({ kind: 'burn' }));

function qemu(short: string, ...more: readonly string[]): string[] {
  return [
    ...['qemu-system-x86_64', '-name', `${lab.guestName(short)},debug-threads=on`, '-uuid', lab.uuid(short)],
    ...['-machine', 'pc', '-accel', 'tcg', '-smp', '2', '-m', '16', '-nodefaults', '-no-user-config'],
    ...['-display', 'none', '-drive', `file=${image},format=raw,if=virtio,readonly=on`, ...more],
  ];
}

/** Where a process is, tree → directory; one entry `` on v2. */
function groupsOf(pid: number): Map<string, string> {
  const lines = readFileSync(`/proc/${pid}/cgroup`, 'latin1').trim().split('\n');
  const fields = lines.map((line) => line.split(':'));
  const found = new Map<string, string>();
  for (const [id, names = '', ...path] of fields) {
    if (UNIFIED ? id === '0' : ['cpu', 'memory', 'blkio'].includes(names)) {
      found.set(names, join('/sys/fs/cgroup', names, path.join(':')));
    }
  }
  return found;
}

/** Somebody else's launches are nobody's business here. */
const foreign = new Set<string>();
const ours = (): string[] =>
  ['', 'cpu', 'memory', 'blkio', 'unified']
    .flatMap((tree) =>
      ['', 'machine'].flatMap((below) => {
        const directory = join('/sys/fs/cgroup', tree, below);
        return existsSync(directory) ? readdirSync(directory).filter((name) => name.startsWith('virtslad-')) : [];
      }),
    )
    .filter((name) => /^virtslad-[\da-f]{8}-/.test(name) && !foreign.has(name));

for (const name of ours()) foreign.add(name);

const register = (): { uuid: string; launched: { journal: string | null } | null }[] => {
  const path = join(bench.stateDir, 'labels.json');
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8').replace(/^.*\n/, '')) : [];
};

function settingsOf(launched: Launched): Record<string, string> {
  const files = UNIFIED
    ? { '': ['cpu.max', 'cpu.weight', 'memory.max'] }
    : { cpu: ['cpu.cfs_quota_us', 'cpu.shares'], memory: ['memory.limit_in_bytes'] };
  const groups = groupsOf(launched.pid);
  const texts = Object.entries(files).flatMap(([tree, names]) =>
    names.map((name) => [name, readFileSync(join(groups.get(tree) ?? '', name), 'latin1').trim()] as const),
  );
  return Object.fromEntries(texts);
}

const HELD = UNIFIED
  ? { 'cpu.max': '20000 100000', 'cpu.weight': '200', 'memory.max': '536870912' }
  : { 'cpu.cfs_quota_us': '20000', 'cpu.shares': '2048', 'memory.limit_in_bytes': '536870912' };

describe('a launched guest', () => {
  const guest = bench.launch(['--class', 'held'], qemu('launched'));

  test('is in groups of its own, limited, in the moment in which it is QEMU', async () => {
    await guest.untilQemu();
    assert.deepEqual(settingsOf(guest), HELD);
    for (const path of groupsOf(guest.pid).values()) {
      assert.match(path, SYSTEMD ? /\/machine-virtslad\\x2d[^/]+\.scope$/ : /\/virtslad-[^/]+$/);
      assert.equal(readFileSync(join(path, 'cgroup.procs'), 'latin1').trim(), String(guest.pid), 'others are in it');
    }
    assert.match(guest.stderr, /started without a label of its own: /);
    assert.match(guest.stderr, /the assignments give this guest no class/);
  });

  test('uses what its limit allows ± 10 %', async (t) => {
    const isKept = ([cores = 0]: readonly number[]) => Math.abs(cores - 0.2) <= 0.02;
    const used = await measureUntil(isKept, () => measureCores([guest.pid], 4));
    t.diagnostic(`limit 0.200 cores, used ${used[0]?.toFixed(3)}`);
    assert.ok(isKept(used), `used ${used[0]} cores`);
  });

  test('is the only one with its uuid', async () => {
    const { code, stderr } = await bench.launch(['--class', 'held'], qemu('launched')).end;
    assert.equal(code, 1);
    assert.match(stderr, /\[LAUNCH_RIVAL\]/);
    assert.equal(register().length, 1);
  });

  test('is taken over by a daemon, held to the class that it was launched in, released and resumed', async () => {
    const daemon = await lab.startDaemon({ policies: { '10-launch.yaml': POLICY }, libvirtUri: 'none' });
    const mine = bench.launch(
      ['--state-dir', daemon.stateDir, '--policy-dir', daemon.policyDir, '--class', 'held'],
      qemu('other'),
    );
    await mine.untilQemu();
    await daemon.waitUntilCompliant([{ name: lab.guestName('other'), uuid: lab.uuid('other') }]);
    assert.deepEqual(settingsOf(mine), HELD);
    assert.match(await daemon.virtsladOk('explain', lab.uuid('other')), /held/);
    assert.equal(await daemon.metric('virtsla_writes_total'), 0, 'nothing was written that stood already');
    await daemon.virtsladOk('release', lab.uuid('other'));
    const free = UNIFIED
      ? { 'cpu.max': 'max 100000', 'cpu.weight': '100', 'memory.max': 'max' }
      : { 'cpu.cfs_quota_us': '-1', 'cpu.shares': '1024', 'memory.limit_in_bytes': '9223372036854771712' };
    assert.deepEqual(settingsOf(mine), free);
    await daemon.virtsladOk('resume', lab.uuid('other'));
    await waitUntil('the limits to be back', () => settingsOf(mine)['cpu.shares'] !== '1024' || UNIFIED, {
      seconds: 10,
    });
    await daemon.waitUntilCompliant([{ name: lab.guestName('other'), uuid: lab.uuid('other') }]);
    assert.deepEqual(settingsOf(mine), HELD);
    const groups = [...groupsOf(mine.pid).values()];
    assert.equal((await mine.kill('SIGTERM')).code, 0);
    const isTidy = () => groups.every((path) => !existsSync(path));
    await waitUntil('the daemon to remove its groups', isTidy, { seconds: 15 });
    await daemon.kill();
  });

  test('gets the signals, and gives the exit code; its groups go with the next launch', async () => {
    const { code, stderr } = await guest.kill('SIGTERM');
    assert.equal(code, 0);
    assert.match(stderr, /terminating on signal 15/);
    const wrong = await bench.launch(['--class', 'held'], qemu('wrong', '-nonsense')).end;
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /qemu-system-x86_64: -nonsense: invalid option/);
    const killed = bench.launch([], qemu('other'));
    await killed.untilQemu();
    assert.equal((await killed.kill('SIGKILL')).signal, 'SIGKILL');
    assert.equal(new Set(ours()).size, SYSTEMD ? 0 : 1, 'only those of the last one are left');
    await bench.launch([], ['nonsense-not-there', '-name', 'other']).end;
    await sweep();
    assert.deepEqual(ours(), []);
    assert.deepEqual(register(), []);
  });
});

/** A launch that gets as far as its groups and fails there leaves what it found, but for what had ended. */
async function sweep(): Promise<void> {
  const { code } = await bench.launch(['--class', 'labelled'], qemu('sweep')).end;
  assert.equal(code, 1);
}

describe('the process that becomes QEMU', () => {
  test('is as its parent made it: signals, descriptors, limits, words, environment', async () => {
    const third = openSync(image, 'r');
    const environment = { PATH: process.env.PATH, ODD: 'a=b c\td' };
    const words = ['/bin/cat', ...['status', 'limits', 'environ', 'cmdline'].map((name) => `/proc/self/${name}`)];
    const soft = ['sh', '-c', 'ulimit -Sn 777; "$@"', 'sh'];
    const { code, stdout, stderr } = await bench.launch(['--class', 'other'], words, {
      before: soft,
      env: environment,
      third,
    }).end;
    assert.equal(code, 0, stderr);
    assert.match(stderr, /knows QEMU by its program/);
    assert.match(stdout, /^SigBlk:\t0{16}\nSigIgn:\t0{16}\nSigCgt:\t0{16}$/m);
    assert.match(stdout, /^Max open files +777 /m);
    assert.ok(/\0?ODD=a=b c\td\0/.test(stdout));
    assert.ok(stdout.endsWith(`${words.join('\0')}\0`));
    const list = (more: readonly string[]) =>
      bench.launch(['--class', 'other'], ['/bin/ls', '/proc/self/fd', ...more], { third }).end;
    assert.deepEqual((await list([])).stdout.trim().split('\n'), ['0', '1', '2', '3'], '3 is that of ls itself');
    const kept = await list(['-w', 'tap,fd=3']);
    assert.deepEqual([kept.code, kept.stderr.includes('invalid line width')], [2, true]);
    closeSync(third);
  });

  test('hands on the descriptors that its words name', async () => {
    const third = openSync(image, 'r');
    const words = ['/bin/ls', '-I', 'tap,fd=3', '/proc/self/fd'];
    const { stdout } = await bench.launch(['--class', 'other'], words, { third }).end;
    assert.deepEqual(stdout.trim().split('\n'), ['0', '1', '2', '3', '4']);
    closeSync(third);
  });

  test('leaves pipes as they were: blocking', async () => {
    const script = '"$@" | cat; cat /proc/self/fdinfo/1 >&2';
    const { code, stdout, stderr } = await bench.launch(['--class', 'other'], ['/bin/cat', '/proc/self/fdinfo/1'], {
      before: ['sh', '-c', script, 'sh'],
    }).end;
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^flags:\t01$/m, 'O_WRONLY and nothing else');
  });
});

describe('nothing is left behind, and no guest is started, when', () => {
  const writable = join(lab.directory, 'writable');
  mkdirSync(writable);
  const loose = join(lab.directory, 'loose');
  mkdirSync(loose);
  chmodSync(loose, 0o777);
  const owned = join(lab.directory, 'qemu-system-loose');
  copyFileSync('/bin/true', owned);
  chmodSync(owned, 0o775);
  copyFileSync('/bin/true', join(loose, 'qemu-system-here'));
  symlinkSync(join(loose, 'qemu-system-here'), join(lab.directory, 'qemu-system-link'));
  writeFileSync(join(lab.directory, 'qemu-system-text'), 'not a program\n', { mode: 0o755 });

  const rows: readonly (readonly [
    what: string,
    flags: readonly string[],
    words: readonly string[],
    code: number,
    says: RegExp,
  ])[] = [
    ['the class is mistyped', ['--class', 'hold'], qemu('x'), 1, /there is no class hold.*\n.*did you mean held\?/],
    ['the class is a path', ['--class', '../held'], qemu('x'), 1, /there is no class \.\.\/held/],
    ['nobody gives it a class', [], qemu('x'), 1, /no assignment gives \S+ a class/],
    ['the class insists on a label', ['--class', 'labelled'], qemu('x'), 1, /\[LAUNCH_LABEL\]/],
    ['the program is not there', [], ['qemu-system-none', '-name', 'other'], 127, /no such program in PATH/],
    ['its path is not there', [], ['/nonexistent/qemu', '-name', 'other'], 127, /no such program/],
    ['its path is relative', [], ['./qemu', '-name', 'other'], 126, /depends on the working directory/],
    ['its group may write it', [], [owned, '-name', 'other'], 126, /can be written by its group/],
    [
      'everybody may write its directory',
      [],
      [join(loose, 'qemu-system-here'), '-name', 'other'],
      126,
      /written by everyone/,
    ],
    ['a link leads there', [], [join(lab.directory, 'qemu-system-link'), '-name', 'other'], 126, /written by everyone/],
    ['it is a directory', [], [lab.directory, '-name', 'other'], 126, /not a regular file/],
    [
      'the kernel cannot run it',
      [],
      [join(lab.directory, 'qemu-system-text'), '-name', 'other'],
      126,
      /cannot be run \(ENOEXEC\)/,
    ],
    ['it is no guest', ['--class', 'held'], ['qemu-system-x86_64', '-version'], 1, /runs no guest/],
    ['it would be another process', ['--class', 'held'], qemu('x', '-daemonize'), 1, /-daemonize/],
    [
      'it looks like one of libvirt’s',
      ['--class', 'held'],
      qemu('x', '-object', 'secret,id=masterKey0'),
      1,
      /guest of libvirt/,
    ],
    ['a policy is bad', ['--policy-dir', writable], qemu('other'), 1, /\[POLICY_DIRECTORY_EMPTY\]/],
    ['everybody may write the state directory', ['--state-dir', loose], qemu('other'), 1, /\[STATE_TRUST\]/],
    ['the cgroup tree is none', ['--path.cgroup', writable], qemu('other'), 1, /\[LAUNCH_GROUP\]/],
  ];
  before(sweep);
  for (const [what, flags, words, code, says] of rows) {
    test(what, async () => {
      const found = [readdirSync(loose), readdirSync(writable), ours()];
      const end = await bench.launch(flags, words).end;
      assert.match(end.stderr, says);
      assert.equal(end.code, code, end.stderr);
      assert.equal(end.stdout, '');
      assert.deepEqual([readdirSync(loose), readdirSync(writable), ours()], found);
      assert.deepEqual(register(), []);
    });
  }

  test('it is asked to end before', async () => {
    const early = bench.launch([], qemu('other'));
    const isOnRecord = () => register().length > 0;
    await waitUntil('it to be on record', isOnRecord, { seconds: 20, everyMs: 1 });
    const { code, signal } = await early.kill('SIGTERM');
    // Asked a moment too late, it was QEMU that ended, or the process in between.
    assert.ok(code === 130 || code === 0 || signal === 'SIGTERM', `${code} ${signal}`);
    await sweep();
    assert.deepEqual([ours(), register()], [[], []]);
  });
});

describe('a name is never a path', () => {
  const outside = join(lab.directory, 'outside');
  mkdirSync(outside);
  const link = join(lab.directory, 'link.img');
  symlinkSync(image, link);
  const names = [
    '../../../../etc/passwd',
    '/etc/cron.d/x',
    '..',
    'a\nb\r\u001b[31m',
    '%n%s%i\\x2d\\x00',
    'machine-qemu\\x2d1\\x2dweb',
    'x'.repeat(4096),
    '$(touch x);`touch y`',
    '☃\u202e\ud83d\ude00',
  ];
  for (const name of names) {
    test(JSON.stringify(name.slice(0, 32)), async (t) => {
      const trace = join(outside, 'trace');
      const has = existsSync('/usr/bin/strace');
      if (!has) t.diagnostic('strace is not installed: what is opened is not looked at');
      const strace = ['/usr/bin/strace', '-f', '-qq', '-s', '4096', '-e', 'trace=%file', '-o', trace];
      const words = ['/bin/true', '-name', name.replaceAll(',', ',,'), '-uuid', '../../junk', '-drive', `file=${link}`];
      const options = { before: has ? strace : [], cwd: outside };
      const { code, stderr } = await bench.launch(['--class', 'other'], words, options).end;
      assert.equal(code, 0, stderr);
      assert.ok(!stderr.includes('\u001b') && !stderr.includes('\u202e'), 'a control character is printed');
      if (has) {
        const changed = changedBy(readFileSync(trace, 'latin1'));
        const isThere = (end: RegExp) => changed.some((path) => end.test(path));
        assert.ok(
          isThere(/\/labels\.json/) && (SYSTEMD || isThere(/\/cpu\.(?:max|cfs_quota_us)$/)),
          'the trace is not whole',
        );
        assert.deepEqual(
          changed.filter((path) => !isOurs(path)),
          [],
        );
      }
      assert.deepEqual(readdirSync(outside), has ? ['trace'] : []);
      await sweep();
      assert.deepEqual([ours(), register()], [[], []]);
    });
  }

  const roots = [bench.stateDir, join(lab.directory, 'launch-run')];
  const isOurs = (path: string) =>
    roots.some((root) => path === root || path.startsWith(`${root}/`)) ||
    /^\/sys\/fs\/cgroup\/(?:\w+\/)?(?:machine\/)?virtslad-[\da-f-]{36}-\d+(?:\/[\w.]+)?$/.test(path) ||
    /^\/proc\/(?:self|\d+)\/fd\/\d+\/(?:cpu|memory)\.[\w.]+$/.test(path) ||
    ['/dev/null', '/dev/tty', '/dev/pts/ptmx'].includes(path);
});

/** Paths that were opened to be written, made, removed or renamed, by the lines of strace. */
function changedBy(trace: string): string[] {
  return trace.split('\n').flatMap((line) => {
    const opened = /\bopenat\([^,]*, "([^"]*)", ([^,)]*)/.exec(line);
    if (opened !== null) return /O_WRONLY|O_RDWR|O_CREAT/.test(opened[2] ?? '') ? [opened[1] ?? ''] : [];
    const call =
      /\b(?:mkdir|mkdirat|rmdir|unlink|unlinkat|rename|renameat2?|link|linkat|symlink|symlinkat|chmod|fchmodat|chown|truncate|setxattr|creat)\((.*)/.exec(
        line,
      );
    return call === null ? [] : [...(call[1] ?? '').matchAll(/"([^"]*)"/g)].map(([, path = '']) => path);
  });
}

test('many launches at once get groups of their own', async () => {
  const launches = ['one', 'two', 'three'].map((short) => bench.launch(['--class', 'other'], qemu(short, '-S')));
  await Promise.all(launches.map((one) => one.untilQemu()));
  assert.equal(new Set(launches.map(({ pid }) => [...groupsOf(pid).values()][0])).size, 3);
  await Promise.all(launches.map((one) => one.kill('SIGTERM')));
  await sweep();
  assert.deepEqual([ours(), register()], [[], []]);
});
