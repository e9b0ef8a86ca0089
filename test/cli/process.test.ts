/** The command as a process: exit codes, streams, pipes that close early, signals. Runs the compiled entry. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ROOT } from '../support/paths.js';
import { inDirectory } from './fake-host.js';

/** Beside this test in the same build, so that it is as new as the test. */
const MAIN = fileURLToPath(new URL('../../src/main.js', import.meta.url));

function virtslad(words: readonly string[], environment: Record<string, string> = {}) {
  const env = { PATH: process.env.PATH ?? '', ...environment };
  return spawnSync(process.execPath, [MAIN, ...words], { encoding: 'utf8', env, cwd: ROOT, timeout: 30_000 });
}

const GOOD = `version: 1
classes:
  bronze: { cpu: { limit: 50% } }
assignments:
  - { class: bronze, match: { any: true } }
`;

describe('exit codes', () => {
  const rows: readonly [words: string, code: number][] = [
    ['--version', 0],
    ['help', 0],
    ['', 1],
    ['nonsense', 1],
    ['report', 1],
    ['plan --config /nonexistent.yaml', 1],
    ['run --config /nonexistent.yaml', 78],
    ['run --web.listen-address nowhere', 78],
    ['apply --once --config /nonexistent.yaml', 78],
  ];
  for (const [words, code] of rows) {
    test(`virtslad ${words} → ${code}`, () => {
      const run = virtslad(words.split(' ').filter((word) => word !== ''));
      assert.equal(run.status, code, run.stderr);
      assert.doesNotMatch(run.stderr, /\n\s+at /, 'never a stack trace');
    });
  }
});

describe('check', () => {
  test('a good policy is 0, a bad one 1 with file:line:col', () =>
    inDirectory(async (directory) => {
      const file = join(directory, '10-a.yaml');
      writeFileSync(file, GOOD, { mode: 0o600 });
      const good = virtslad(['check', file]);
      assert.deepEqual([good.status, good.stderr], [0, '']);
      assert.match(
        good.stdout,
        /^OK: 1 class, 1 assignment, 0 schedules, 0 maintenance windows in 1 file; generation [0-9a-f]{12}\n$/,
      );
      writeFileSync(file, GOOD.replace('limit: 50%', 'limt: 50%, weight: 0'));
      const bad = virtslad(['check', file]);
      assert.deepEqual([bad.status, bad.stdout], [1, '']);
      assert.match(bad.stderr, /10-a\.yaml:3:\d+: error: .*limt.*\[POLICY_UNKNOWN_KEY\]\n {2}→ did you mean "limit"\?/);
      assert.match(bad.stderr, /10-a\.yaml:3:\d+: error: .*weight.*\n2 errors\n$/s);
    }));
});

test('colour: not in a pipe, with FORCE_COLOR yes, with NO_COLOR never', () => {
  const sequence = '\u001b[';
  assert.ok(!virtslad(['help']).stdout.includes(sequence));
  assert.ok(virtslad(['help'], { FORCE_COLOR: '1' }).stdout.includes(sequence));
  assert.ok(!virtslad(['help'], { FORCE_COLOR: '1', NO_COLOR: '1' }).stdout.includes(sequence));
});

test('a reader that leaves early is no error', () => {
  const pipe = `'${process.execPath}' '${MAIN}' schema | head -c 10; printf ' %s' "\${PIPESTATUS[0]}"`;
  const { stdout, stderr } = spawnSync('bash', ['-c', pipe], { encoding: 'utf8' });
  assert.match(stdout, / 0$/);
  assert.equal(stderr, '');
});

test('a large document reaches a slow pipe whole', () => {
  const pipe = `'${process.execPath}' '${MAIN}' schema | (sleep 0.5; cat)`;
  const { stdout } = spawnSync('bash', ['-c', pipe], { encoding: 'utf8' });
  assert.equal(typeof JSON.parse(stdout), 'object');
});

describe('signals', () => {
  /** Without libvirt and on empty trees: nothing of this host is touched. */
  async function daemon(directory: string): Promise<ReturnType<typeof spawn>> {
    for (const name of ['policies', 'cgroup', 'proc', 'run-libvirt']) mkdirSync(join(directory, name), { mode: 0o755 });
    writeFileSync(join(directory, 'policies', 'a.yaml'), GOOD, { mode: 0o600 });
    const words = ['run', '--mode', 'observe', '--libvirt-uri', 'none', '--web.listen-address', '127.0.0.1:0'];
    for (const [flag, name] of [
      ['policy-dir', 'policies'],
      ['state-dir', 'state'],
      ['run-dir', 'run'],
      ['path.cgroup', 'cgroup'],
      ['path.proc', 'proc'],
      ['path.run-libvirt', 'run-libvirt'],
    ]) {
      words.push(`--${flag}`, join(directory, name ?? ''));
    }
    const child = spawn(process.execPath, [MAIN, ...words], { stdio: ['ignore', 'ignore', 'pipe'] });
    let log = '';
    await new Promise<void>((resolve, reject) => {
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        log += text;
        if (log.includes('daemon.ready')) resolve();
      });
      child.once('exit', (code) => reject(new Error(`exit ${code}\n${log}`)));
    });
    return child;
  }
  function end(child: ReturnType<typeof spawn>): Promise<number | null> {
    return new Promise((resolve) => child.once('exit', (code) => resolve(code)));
  }

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    test(`${signal}, even twice, ends the daemon well within 5 s; SIGHUP does not`, { timeout: 60_000 }, () =>
      inDirectory(async (directory) => {
        const child = await daemon(directory);
        child.kill('SIGHUP');
        await new Promise((resolve) => setTimeout(resolve, 300));
        assert.equal(child.exitCode, null);
        const began = performance.now();
        const ended = end(child);
        child.kill(signal);
        child.kill(signal);
        assert.equal(await ended, 0);
        assert.ok(performance.now() - began < 5_000);
      }),
    );
  }

  test('a second daemon is refused while the first runs, and status asks the first', { timeout: 60_000 }, () =>
    inDirectory(async (directory) => {
      const child = await daemon(directory);
      try {
        const shared = ['--run-dir', join(directory, 'run'), '--state-dir', join(directory, 'state')];
        const second = virtslad(['run', '--libvirt-uri', 'none', '--web.listen-address', '127.0.0.1:0', ...shared]);
        assert.equal(second.status, 1, second.stderr);
        assert.match(second.stderr, /RUN_LOCKED/);
        const status = virtslad(['status', '--run-dir', join(directory, 'run')]);
        assert.deepEqual([status.status, status.stderr], [0, '']);
        assert.match(status.stdout, /daemon up .*mode observe/);
      } finally {
        const ended = end(child);
        child.kill('SIGKILL');
        await ended;
      }
    }),
  );
});
