/** Precedence of defaults, file and flags, key by key; the rules about the file itself. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, lchownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { CONFIG_KEY_NAMES, CONFIG_KEYS } from '../../src/config/keys.js';
import { loadConfig } from '../../src/config/load.js';
import type { Config } from '../../src/config/types.js';
import { VirtsladError } from '../../src/errors.js';

let root = '';
let count = 0;
before(() => {
  root = mkdtempSync(join(tmpdir(), 'virtslad-config-'));
});
after(() => rmSync(root, { recursive: true, force: true }));

function file(text: string): string {
  const directory = join(root, String(count++));
  mkdirSync(directory, { mode: 0o700 });
  const path = join(directory, 'virtslad.yaml');
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

function load(text: string | null, flags: Record<string, string> = {}): Config {
  return loadConfig({
    file: text === null ? null : file(text),
    flags,
    workingDirectory: '/work-here',
    defaultFile: join(root, 'absent.yaml'),
  });
}

function problemsOf(act: () => unknown): readonly { code: string; where?: unknown; message: string }[] {
  try {
    act();
  } catch (error) {
    assert.ok(error instanceof VirtsladError, String(error));
    return error.problems;
  }
  assert.fail('nothing was thrown');
}

test('without a file and flags the documented defaults hold', () => {
  assert.deepEqual(load(null), {
    configFile: null,
    policyDir: '/etc/virtslad/policies.d',
    stateDir: '/var/lib/virtslad',
    runDir: '/run/virtslad',
    mode: 'enforce',
    libvirtUri: 'qemu:///system',
    listenAddress: '127.0.0.1:19177',
    killSwitch: '/run/virtslad/stop',
    paths: {
      cgroup: '/sys/fs/cgroup',
      proc: '/proc',
      runLibvirt: '/run/libvirt',
      libvirtSave: '/var/lib/libvirt/qemu/save',
    },
    log: { level: 'info', format: 'text' },
    cycleSeconds: 5,
    blastRadius: { percent: 20, domains: 5 },
    manage: { uuids: null, names: null },
  } satisfies Config);
});

describe('default < file < flag', () => {
  const rows: readonly [
    key: string,
    inFile: string,
    asFlag: string,
    read: (config: Config) => unknown,
    file: unknown,
    flag: unknown,
  ][] = [
    ['policy-dir', '/f', '/g', (c) => c.policyDir, '/f', '/g'],
    ['state-dir', '/f', '/g', (c) => c.stateDir, '/f', '/g'],
    ['run-dir', '/f', '/g', (c) => c.runDir, '/f', '/g'],
    ['kill-switch', '/f', '/g', (c) => c.killSwitch, '/f', '/g'],
    ['mode', 'observe', 'enforce', (c) => c.mode, 'observe', 'enforce'],
    ['libvirt-uri', 'test:///default', 'none', (c) => c.libvirtUri, 'test:///default', null],
    ['web.listen-address', 'a:1', 'b:2', (c) => c.listenAddress, 'a:1', 'b:2'],
    ['path.cgroup', '/f', '/g', (c) => c.paths.cgroup, '/f', '/g'],
    ['path.proc', '/f', '/g', (c) => c.paths.proc, '/f', '/g'],
    ['path.run-libvirt', '/f', '/g', (c) => c.paths.runLibvirt, '/f', '/g'],
    ['path.libvirt-save', '/f', '/g', (c) => c.paths.libvirtSave, '/f', '/g'],
    ['log.level', 'warn', 'debug', (c) => c.log.level, 'warn', 'debug'],
    ['log.format', 'json', 'logfmt', (c) => c.log.format, 'json', 'logfmt'],
    ['cycle', '1s', '2s', (c) => c.cycleSeconds, 1, 2],
  ];
  for (const [key, inFile, asFlag, read, fromFile, fromFlag] of rows) {
    test(key, () => {
      const [section, rest] = key.split('.');
      const text = rest === undefined ? `${key}: "${inFile}"\n` : `${section}: { ${rest}: "${inFile}" }\n`;
      assert.deepEqual(read(load(text)), fromFile);
      assert.deepEqual(read(load(text, { [key]: asFlag })), fromFlag);
      assert.deepEqual(read(load(null, { [key]: asFlag })), fromFlag);
    });
  }
  test('every key that has a flag has a row', () => {
    const flags = CONFIG_KEY_NAMES.filter((name) => CONFIG_KEYS[name].flag);
    assert.deepEqual(rows.map(([key]) => key).sort(), [...flags].sort());
  });
});

test('the kill switch follows the run directory unless it is named', () => {
  assert.equal(load('run-dir: /r\n').killSwitch, '/r/stop');
  assert.equal(load('run-dir: /r\n', { 'run-dir': '/q/' }).killSwitch, '/q/stop');
  assert.equal(load('run-dir: /r\nkill-switch: /k\n').killSwitch, '/k');
});

test('a relative path is taken from the working directory as a flag, and refused in the file', () => {
  assert.equal(load(null, { 'policy-dir': 'policies' }).policyDir, '/work-here/policies');
  assert.equal(problemsOf(() => load('policy-dir: policies\n'))[0]?.code, 'CONFIG_VALUE');
});

test('problems of file and flags come together', () => {
  const problems = problemsOf(() => load('mode: on\nfoo: 1\n', { 'log.level': 'loud', 'policy-dir': '' }));
  assert.deepEqual(
    problems.map(({ code, message }) => `${code} ${message}`),
    [
      'CONFIG_VALUE mode does not accept "on"',
      'CONFIG_UNKNOWN_KEY unknown key foo',
      'CONFIG_VALUE --log.level does not accept "loud"',
      'CONFIG_VALUE --policy-dir does not accept ""',
    ],
  );
});

describe('the file itself', () => {
  const named = (path: string) => () =>
    loadConfig({ file: path, flags: {}, workingDirectory: '/', defaultFile: '/absent' });
  const isRoot = process.geteuid?.() === 0;

  test('a named file that is missing is an error', () => {
    const [problem] = problemsOf(named(join(root, 'none.yaml')));
    assert.equal(problem?.code, 'CONFIG_NOT_FOUND');
    assert.equal(problem?.where, join(root, 'none.yaml'));
  });
  test('configFile names what was read', () => {
    const path = file('mode: observe\n');
    assert.equal(named(path)().configFile, path);
  });
  test('group- or world-writable is refused', () => {
    for (const mode of [0o620, 0o602]) {
      const path = file('mode: observe\n');
      chmodSync(path, mode);
      assert.equal(problemsOf(named(path))[0]?.code, 'CONFIG_OWNER');
    }
  });
  test('a world-writable directory above is refused, a sticky one is not', () => {
    const path = file('mode: observe\n');
    chmodSync(join(path, '..'), 0o777);
    assert.equal(problemsOf(named(path))[0]?.code, 'CONFIG_OWNER');
    chmodSync(join(path, '..'), 0o1777);
    assert.equal(named(path)().mode, 'observe');
  });
  test('another owner is refused, through a link too', {
    skip: isRoot ? false : 'needs root to change the owner',
  }, () => {
    const path = file('mode: observe\n');
    chownSync(path, 65_534, 65_534);
    assert.equal(problemsOf(named(path))[0]?.code, 'CONFIG_OWNER');
    const link = join(root, 'link.yaml');
    symlinkSync(path, link);
    assert.equal(problemsOf(named(link))[0]?.code, 'CONFIG_OWNER');
  });
  test('a link that another user could point elsewhere is refused, one of our own is followed', {
    skip: isRoot ? false : 'needs root to change the owner',
  }, () => {
    const link = join(root, 'own-link.yaml');
    symlinkSync(file('mode: observe\n'), link);
    assert.equal(named(link)().mode, 'observe');
    lchownSync(link, 65_534, 65_534);
    const [problem] = problemsOf(named(link));
    assert.equal(problem?.code, 'CONFIG_OWNER');
    assert.match(problem?.message ?? '', /belongs to user 65534, who could change the configuration/);
  });
  test('a directory, a FIFO and a huge file are refused without hanging', () => {
    const fifo = join(root, 'fifo.yaml');
    execFileSync('mkfifo', [fifo]);
    for (const path of [root, fifo, file('#'.repeat(256 * 1024 + 1))]) {
      assert.equal(problemsOf(named(path))[0]?.code, 'CONFIG_UNREADABLE', path);
    }
    assert.equal(named(file(`mode: observe\n${'#'.repeat(256 * 1024 - 14)}`))().mode, 'observe');
  });
});
