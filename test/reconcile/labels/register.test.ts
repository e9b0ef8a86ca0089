/** The register of category pairs: nobody gets what clashes, whoever asks, and nothing is lost when it ends half way. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { VirtsladError } from '../../../src/errors.js';
import { readProcessStat } from '../../../src/host/proc/process.js';
import { LabelRegister, type Launched } from '../../../src/reconcile/labels/register.js';
import { formatLabels, parseLabels } from '../../../src/reconcile/labels/register-format.js';

const RACER = fileURLToPath(new URL('./label-racer.js', import.meta.url));

let stateDir: string;
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'virtslad-labels-'));
});
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

const open = (random?: (below: number) => number) =>
  LabelRegister.open({ stateDir, nowMs: () => 0, ...(random && { random }) });

function own(): Launched {
  const stat = readProcessStat('/proc', process.pid);
  return { pid: process.pid, startTicks: String(stat?.startTicks), className: 'gold', groups: [], journal: null };
}
const gone: Launched = { pid: process.pid, startTicks: '1', className: 'gold', groups: ['/g'], journal: null };

describe('a pair', () => {
  test('is the guest’s own, kept, and given to nobody else', async () => {
    const register = open();
    const first = await register.assign('a', 'a', [1, 2, 3], []);
    assert.deepEqual(await register.assign('a', 'a', [1, 2, 3], []), first);
    const others = [await register.assign('b', 'b', [1, 2, 3], []), await register.assign('c', 'c', [1, 2, 3], [])];
    assert.equal(new Set([first, ...others].map(String)).size, 3);
    assert.equal(await register.assign('d', 'd', [1, 2, 3], []), null);
    await register.release('b');
    assert.deepEqual(await register.assign('d', 'd', [1, 2, 3], []), others[0]);
    const later = open();
    await later.load();
    assert.deepEqual(later.pairOf('a'), first);
    assert.equal(later.pairOf('b'), null);
  });

  test('is another when it has left the pool, or when somebody wears what clashes with it', async () => {
    const register = open(() => 0);
    assert.deepEqual(await register.assign('a', 'a', [1, 2], []), [1, 2]);
    assert.deepEqual(await register.assign('a', 'a', [3, 4], []), [3, 4]);
    assert.deepEqual(await register.assign('a', 'a', [3, 4, 5], [[3, 4]]), [3, 5]);
    assert.deepEqual(await register.assign('a', 'a', [5, 6, 7], [[5], [1, 3, 5]]), [6, 7]);
  });

  test('of a launch goes with its process, unless it is lasting', async () => {
    const register = open(() => 0);
    assert.deepEqual(await register.assign('a', 'a', [1, 2], [], { by: 'launch', launched: gone }), [1, 2]);
    assert.deepEqual(await register.assign('b', 'b', [1, 2], [], { by: 'launch', launched: own() }), [1, 2]);
    assert.equal(await register.assign('c', 'c', [1, 2], []), null, 'one whose process lives counts');
    await register.assign('d', 'd', [7, 8], [], { by: 'launch', launched: gone, lasting: true });
    assert.equal(await register.assign('e', 'e', [7, 8], []), null);
    const tidied: string[] = [];
    await register.removeEnded(({ groups }) => tidied.push(...groups) > 0);
    assert.deepEqual(tidied, ['/g', '/g']);
    assert.deepEqual(
      register.entries().map(({ uuid }) => uuid),
      ['b', 'd'],
    );
    assert.equal(register.entry('d')?.launched, null);
    await register.removeEnded(() => assert.fail('nothing is left to tidy'));
  });

  test('is not forgotten while something of the launch is left', async () => {
    const register = open();
    await register.note('a', 'a', { by: 'launch', launched: gone });
    await register.removeEnded(() => false);
    assert.notEqual(register.entry('a'), null);
    await register.endLaunch('a');
    assert.equal(register.entry('a'), null);
  });
});

describe('two processes', () => {
  test('that race for 1,000 pairs get 1,000 that do not clash', async (t) => {
    const began = performance.now();
    const said = (await Promise.all([race('x', 500), race('y', 500)])).flat();
    t.diagnostic(`1,000 pairs in ${((performance.now() - began) / 1000).toFixed(1)} s`);
    assert.equal(said.length, 1000);
    assert.equal(new Set(said.map((line) => line.split(' ')[1])).size, 1000);
    const register = open();
    await register.load();
    const kept = register.entries().map(({ uuid, categories }) => `${uuid} ${categories?.join(',')}`);
    assert.deepEqual(kept.sort(), said.sort());
  });

  test('see each other’s changes, and read the file only when it is another', async () => {
    const [daemon, launch] = [open(), open()];
    await daemon.load();
    const pair = await launch.assign('a', 'a', null, [], { by: 'launch', launched: own() });
    assert.equal(daemon.pairOf('a'), null);
    await daemon.load();
    assert.deepEqual(daemon.pairOf('a'), pair);
    const { pid, startTicks } = own();
    assert.equal(daemon.launchedIn({ pid, startTicks: BigInt(startTicks) }), 'gold');
    assert.equal(daemon.launchedIn({ pid, startTicks: 1n }), null);
    const atime = statSync(join(stateDir, 'labels.json')).ino;
    await daemon.load();
    await daemon.note('a', 'a', { by: 'launch', launched: own() });
    assert.notEqual(statSync(join(stateDir, 'labels.json')).ino, atime, 'written whole, beside the old one');
  });

  test('kill -9 at any moment loses no pair that was given, and leaves no lock', async (t) => {
    const given = new Map<string, string>();
    for (let round = 0; round < 12; round++) {
      for (const line of await race(`${round}-`, 10_000, 60 + Math.random() * 120)) {
        const [uuid = '', pair = ''] = line.split(' ');
        given.set(uuid, pair);
      }
    }
    const register = open();
    await register.load();
    assert.equal(register.damaged, null);
    t.diagnostic(`${given.size} pairs were given before 12 kills`);
    assert.ok(given.size > 0);
    for (const [uuid, pair] of given) assert.equal(register.pairOf(uuid)?.join(','), pair, uuid);
    await register.assign('after', 'after', null, []);
  });
});

describe('a damaged register', () => {
  test('is put aside, said, and begun anew; what runs is not given away', async () => {
    await open(() => 0).assign('a', 'a', [1, 2, 3], []);
    const path = join(stateDir, 'labels.json');
    writeFileSync(path, readFileSync(path, 'utf8').replace('"name"', '"nome"'));
    const register = open(() => 0);
    await register.load({ readOnly: true });
    assert.equal(register.damaged, path);
    assert.deepEqual(readdirSync(stateDir).sort(), ['labels.json', 'labels.lock']);
    const writer = open(() => 0);
    await writer.load();
    assert.match(writer.damaged ?? '', /labels\.json\.damaged-/);
    assert.deepEqual(writer.entries(), []);
    assert.deepEqual(await writer.assign('b', 'b', [1, 2, 3], [[1, 2]]), [1, 3]);
    await writer.rebuild([{ uuid: 'a', name: 'a', categories: [1, 2] }]);
    assert.deepEqual(writer.pairOf('a'), [1, 2]);
  });

  test('damaged under a process that knows it whole is written again from memory', async () => {
    const register = open();
    const pair = await register.assign('a', 'a', null, []);
    writeFileSync(join(stateDir, 'labels.json'), 'x');
    await register.assign('b', 'b', null, []);
    const later = open();
    await later.load();
    assert.deepEqual(later.pairOf('a'), pair);
    assert.notEqual(later.pairOf('b'), null);
  });

  test('of any kind is no register', () => {
    const text = formatLabels([]);
    assert.deepEqual(parseLabels(text), []);
    for (let at = 0; at < text.length; at++) {
      assert.equal(parseLabels(text.slice(0, at)), null, `cut at ${at}`);
      assert.equal(parseLabels(`${text.slice(0, at)}#${text.slice(at + 1)}`), null, `changed at ${at}`);
    }
    assert.equal(parseLabels(`${text}\n`), null);
  });

  test('a link in the place of the lock is not followed', async () => {
    const outside = join(stateDir, 'outside');
    symlinkSync(outside, join(stateDir, 'labels.lock'));
    const refused = (error: unknown) => error instanceof VirtsladError && error.code === 'LOCK_FAILED';
    await assert.rejects(open().assign('a', 'a', null, []), refused);
    assert.throws(() => statSync(outside));
    renameSync(join(stateDir, 'labels.lock'), join(stateDir, 'link'));
    await open().assign('a', 'a', null, []);
  });
});

/** The lines that a racer says; killed after so many ms, if given. */
async function race(prefix: string, count: number, killAfterMs?: number): Promise<string[]> {
  const child = spawn(process.execPath, [RACER, stateDir, prefix, String(count)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (more: string) => {
    text += more;
    if (killAfterMs !== undefined && !child.killed && text === more)
      setTimeout(() => child.kill('SIGKILL'), killAfterMs / 4);
  });
  await once(child, 'close');
  return text.split('\n').slice(0, -1);
}
