/** Which policy set is in force: last good kept, blast radius, acknowledgement, across restarts. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { systemClock } from '../../src/host/clock.js';
import { compile } from '../../src/policy/compile.js';
import type { LoadResult } from '../../src/policy/loader.js';
import type { Generation } from '../../src/policy/types.js';
import { Generations } from '../../src/reconcile/generations.js';

const policy = (limit: number): string =>
  `version: 1\nclasses:\n  bronze:\n    cpu: { limit: ${limit}% }\nassignments:\n  - { class: bronze, match: { any: true } }\n`;

describe('generations', () => {
  let stateDir: string;
  let text: string;
  beforeEach(async () => {
    stateDir = await mkdtemp(join(tmpdir(), 'virtslad-generations-'));
    text = policy(50);
  });
  afterEach(() => rm(stateDir, { recursive: true, force: true }));
  const make = (persist = true): Generations =>
    new Generations({
      stateDir,
      clock: systemClock,
      persist,
      blastRadius: { percent: 20, domains: 5 },
      load: async () => compile([{ path: '10.yaml', text }]),
    });
  const limitOf = (generation: Generation | null): string | undefined =>
    generation?.classes.get('bronze')?.values.get('cpu.limit')?.text;
  const reaching = (affected: number, total: number) => () => ({ affected, total });

  test('with an empty state directory the first set is accepted, however far it reaches', async () => {
    const generations = make();
    await generations.reload();
    assert.equal(generations.active, null, 'not before it is settled');
    assert.equal(await generations.settle(reaching(600, 600)), 'accepted');
    assert.equal(limitOf(generations.active), '50%');
  });

  test('a bad set keeps the last good one, also across a restart', async () => {
    const generations = make();
    await generations.reload();
    await generations.settle(reaching(0, 0));
    text = text.replace('50%', '500%');
    assert.equal(await generations.reload(), false);
    assert.equal(limitOf(generations.active), '50%');
    assert.match(generations.problems[0] ?? '', /^10\.yaml:4:\d+: /);
    const restarted = make();
    await restarted.loadAccepted();
    assert.equal(await restarted.reload(), false);
    assert.equal(limitOf(restarted.active), '50%');
    assert.equal(restarted.lastReloadSuccessful, false);
  });

  test('what a busy host has kept from being read may be read later; what is wrong in the files may not', async () => {
    const timeout = {
      code: 'POLICY_TIMEOUT' as const,
      message: 'it took longer than 2 s',
      where: '/policies',
      fix: '',
    };
    const results: LoadResult[] = [
      { ok: false, problems: [timeout] },
      compile([{ path: '10.yaml', text: 'version: 2' }]),
      compile([{ path: '10.yaml', text }]),
    ];
    const load = async () => results.shift() as LoadResult;
    const options = { stateDir, clock: systemClock, persist: false, blastRadius: { percent: 20, domains: 5 }, load };
    const generations = new Generations(options);
    const seen: boolean[] = [];
    while (results.length > 0) {
      await generations.reload();
      seen.push(generations.mayPass);
    }
    assert.deepEqual(seen, [true, false, false]);
  });

  for (const [affected, total, verdict] of [
    [5, 10, 'accepted'],
    [6, 10, 'held-back'],
    [20, 100, 'accepted'],
    [21, 100, 'held-back'],
    [120, 600, 'accepted'],
    [121, 600, 'held-back'],
  ] as const) {
    test(`a new set that changes ${affected} of ${total} guests is ${verdict}`, async () => {
      const generations = make();
      await generations.reload();
      await generations.settle(reaching(0, total));
      text = policy(60);
      await generations.reload();
      assert.equal(await generations.settle(reaching(affected, total)), verdict);
      assert.equal(limitOf(generations.active), verdict === 'accepted' ? '60%' : '50%');
    });
  }

  test('what was held back is let through by its own id and by no other, and stays held back after a restart', async () => {
    const first = make();
    await first.reload();
    await first.settle(reaching(0, 100));
    text = policy(60);
    await first.reload();
    await first.settle(reaching(100, 100));
    const waiting = first.pending?.generation.id ?? '';
    assert.match(waiting, /^[0-9a-f]{12}$/);

    const restarted = make();
    await restarted.loadAccepted();
    await restarted.reload();
    assert.equal(limitOf(restarted.active), '50%');
    assert.equal(await restarted.settle(reaching(100, 100)), 'held-back');
    await assert.rejects(restarted.acknowledge('000000000000'), { code: 'APPLY_NOT_PENDING' });
    await restarted.acknowledge(waiting);
    assert.equal(limitOf(restarted.active), '60%');
    assert.equal(restarted.pending, null);
  });

  test('going back to the accepted set withdraws what waits', async () => {
    const generations = make();
    await generations.reload();
    await generations.settle(reaching(0, 100));
    text = policy(60);
    await generations.reload();
    await generations.settle(reaching(100, 100));
    text = policy(50);
    await generations.reload();
    assert.equal(generations.pending, null);
    assert.equal(await generations.settle(reaching(100, 100)), null);
    assert.equal(limitOf(generations.active), '50%');
  });

  test('a preview shows the new set and that it would be held back, and keeps nothing', async () => {
    const daemon = make();
    await daemon.reload();
    await daemon.settle(reaching(0, 100));
    text = policy(60);
    const looking = make(false);
    await looking.loadAccepted();
    await looking.reload();
    await looking.preview(reaching(100, 100));
    assert.equal(limitOf(looking.active), '60%');
    assert.deepEqual([looking.pending?.affected, looking.pending?.allowed], [100, 20]);
    const after = make();
    await after.loadAccepted();
    assert.equal(limitOf(after.active), '50%');
  });

  test('observe mode accepts nothing for later', async () => {
    const observing = make(false);
    await observing.reload();
    await observing.settle(reaching(0, 0));
    const enforcing = make();
    await enforcing.loadAccepted();
    assert.equal(enforcing.active, null);
  });

  test('a damaged copy of the accepted set counts as none', async () => {
    const generations = make();
    await generations.reload();
    await generations.settle(reaching(0, 0));
    const path = join(stateDir, 'accepted-policy.json');
    await writeFile(path, (await readFile(path, 'utf8')).replace('50%', '51%'));
    const restarted = make();
    await restarted.loadAccepted();
    assert.equal(restarted.active, null);
  });
});
