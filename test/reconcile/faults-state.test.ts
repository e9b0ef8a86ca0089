/** The state directory full, unreadable, damaged, raced; and kill -9 in the middle of mending it. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, mock, test } from 'node:test';
import { systemClock } from '../../src/host/clock.js';
import { cycle } from '../../src/reconcile/cycle.js';
import { HandsOffRegister } from '../../src/reconcile/hands-off.js';
import { Journal } from '../../src/reconcile/journal.js';
import { Bench, NO_REAL_GROUPS, pause } from './faults-bench.js';

/** Lets fs/promises fail, or hang as at kill -9, for some paths. */
function fault(
  method: 'readFile' | 'open' | 'rename',
  matches: (path: string) => boolean,
  act: () => Promise<never>,
): void {
  const original = promises[method] as (...args: unknown[]) => Promise<unknown>;
  mock.method(promises, method, (...args: unknown[]) =>
    matches(String(args[0])) ? act() : original.apply(promises, args),
  );
  syncBuiltinESMExports();
}

function calm(): void {
  mock.restoreAll();
  syncBuiltinESMExports();
}

const failing = (code: string) => async (): Promise<never> => {
  throw Object.assign(new Error(`${code}: made to fail`), { code });
};
const never = (): Promise<never> => new Promise(() => undefined);

describe('state directory', { skip: NO_REAL_GROUPS }, () => {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench('real');
  });
  afterEach(async () => {
    calm();
    await bench.remove();
  });
  const path = (name: string): string => join(bench.stateDir, name);
  const dropMetadata = async (uuid: string): Promise<void> => {
    await bench.libvirt.setOriginals(uuid, bench.libvirt.id(uuid) ?? 0, null);
  };

  test('a full disk: nothing is written without a record, and two cycles after there is room again it is', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%');
    fault('open', (at) => at === path('journal.new'), failing('ENOSPC'));
    await bench.boot();
    await bench.settle();
    assert.equal(bench.quota(uuid), '-1');
    calm();
    bench.aheadMs += 10_000;
    await bench.settle();
    assert.equal(bench.quota(uuid), '20000');
  });

  test('a full disk: drift of what is recorded already is mended all the same', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%');
    await bench.boot();
    await bench.settle();
    bench.setClass('limit: 30%');
    const core = await bench.boot();
    await bench.settle();
    assert.equal(bench.quota(uuid), '30000');
    fault('open', (at) => at === path('journal.new'), failing('ENOSPC'));
    bench.setQuota(uuid, 77_000);
    await core.reconciler.full();
    assert.equal(bench.quota(uuid), '30000');
  });

  test('steady drift repair writes no journal', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%');
    await bench.boot();
    bench.setClass('limit: 30%');
    const core = await bench.boot();
    await bench.settle();
    const before = readFileSync(path('journal'), 'utf8');
    bench.setQuota(uuid, 77_000);
    await core.reconciler.full();
    assert.equal(readFileSync(path('journal'), 'utf8'), before);
  });

  test('a journal that cannot be read at start is not taken for an empty one', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%');
    await bench.boot();
    await bench.settle();
    await bench.kill();
    await dropMetadata(uuid);
    fault('readFile', (at) => at === path('journal'), failing('EIO'));
    bench.setClass('limit: 30%');
    await bench.boot();
    await bench.settle();
    calm();
    const core = await bench.boot();
    await core.operator.release({ domain: 'db-1' });
    await bench.settle();
    assert.equal(bench.quota(uuid), '-1', 'our own value became the original');
  });

  test('kill -9 while a damaged journal is being put aside loses no good record', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.addGuest({ name: 'db-2' });
    bench.setClass('limit: 20%');
    await bench.boot();
    await bench.settle();
    await bench.kill();
    writeFileSync(path('journal'), `${readFileSync(path('journal'), 'utf8')}torn`);
    // Killed at the first step of writing the good records anew.
    fault('open', (at) => at === path('journal.new'), never);
    void new Journal(bench.stateDir, systemClock).load({ readOnly: false }).catch(() => undefined);
    await pause(50);
    calm();
    const journal = new Journal(bench.stateDir, systemClock);
    await journal.load({ readOnly: false });
    assert.notEqual(journal.get(uuid, 'cpu.limit'), null);
  });

  test('a journal line with a good checksum and another shape stops neither start nor enforcement', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    const other = bench.addGuest({ name: 'db-2' });
    bench.setClass('limit: 20%');
    const { createHash } = await import('node:crypto');
    const text = JSON.stringify({ uuid, control: 'cpu.limit', originals: {} });
    const sum = createHash('sha256').update(text).digest('hex').slice(0, 16);
    writeFileSync(path('journal'), `virtslad-journal 2 1\n${sum} ${text}\n`);
    await bench.boot();
    await bench.settle();
    assert.equal(bench.quota(uuid), '20000');
    assert.equal(bench.quota(other), '20000');
  });

  test('a slow full cycle does not put an old record over a newer one', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%');
    const { parts, reconciler, operator } = await bench.boot({ blind: true });
    await parts.inventory.resync();
    const changePolicy = (cpu: string): void => {
      bench.setClass(cpu);
      const loaded = bench.load();
      assert.ok(loaded.ok);
      parts.generations.active = loaded.generation;
    };
    changePolicy('limit: 20%');
    let done = false;
    function* slowly(): Generator<string> {
      for (let turn = 0; turn < 400 && !done; turn++) {
        const until = performance.now() + 6;
        while (performance.now() < until);
        yield turn === 0 ? uuid : 'nobody';
      }
    }
    const slow = cycle(parts, slowly());
    // A schedule's window opens meanwhile, and the guest is looked at on its own.
    changePolicy('limit: 30%');
    await cycle(parts, [uuid]);
    done = true;
    await slow;
    assert.equal(bench.quota(uuid), '30000');
    assert.ok(parts.journal.get(uuid, 'cpu.limit')?.settings['vcpu0/cpu.max']?.written.includes('30000 100000'));
    await reconciler.full();
    await operator.release({ domain: 'db-1' });
    await bench.settle();
    assert.equal(bench.quota(uuid), '-1');
  });

  test('hold and release of many guests at once are all kept', async () => {
    const register = new HandsOffRegister(bench.stateDir, systemClock);
    const uuids = Array.from({ length: 12 }, (_, index) => `guest-${index}`);
    const results = await Promise.allSettled(
      uuids.map((uuid) => register.set(uuid, { kind: 'held', name: uuid, untilMs: null })),
    );
    assert.deepEqual(
      results.filter(({ status }) => status === 'rejected'),
      [],
    );
    const again = new HandsOffRegister(bench.stateDir, systemClock);
    await again.load({ readOnly: false });
    assert.equal(again.damaged, null);
    for (const uuid of uuids) assert.equal(again.of(uuid)?.kind, 'held', uuid);
    assert.equal(existsSync(path('hands-off.json.new')), false);
  });

  test('a hands-off list that cannot be read holds every guest, as a damaged one does', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%');
    const first = await bench.boot();
    await bench.settle();
    await first.operator.release({ domain: 'db-1' });
    await bench.settle();
    assert.equal(bench.quota(uuid), '-1');
    fault('readFile', (at) => at === path('hands-off.json'), failing('EIO'));
    await bench.boot();
    await bench.settle();
    assert.equal(bench.quota(uuid), '-1', 'a released guest was limited again');
  });

  for (const [what, text] of [
    ['torn', '{"all": nul'],
    ['of another shape', '{"all":null,"domains":{"UUID":null},"resumed":[]}'],
    ['of another shape', '{"all":null,"domains":{"UUID":"held"},"resumed":[]}'],
    ['empty', ''],
    ['null', 'null'],
  ] as const) {
    test(`a hands-off list that is ${what} (${text}) holds every guest and releases none`, async () => {
      const uuid = bench.addGuest({ name: 'db-1' });
      bench.setClass('limit: 20%');
      await bench.boot();
      await bench.settle();
      writeFileSync(path('hands-off.json'), text.replace('UUID', uuid));
      bench.setClass('limit: 30%');
      const core = await bench.boot();
      await bench.settle();
      assert.equal(bench.quota(uuid), '20000');
      assert.equal(core.parts.handsOff.of(uuid)?.kind, 'held');
    });
  }

  test('a damaged hands-off list in a read-only state directory holds every guest too', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%');
    await bench.boot();
    await bench.settle();
    writeFileSync(path('hands-off.json'), '{"all": nul');
    fault('rename', (at) => at.startsWith(bench.stateDir), failing('EROFS'));
    fault('open', (at) => at.startsWith(bench.stateDir), failing('EROFS'));
    bench.setQuota(uuid, 44_000);
    await bench.boot();
    await bench.settle();
    assert.equal(bench.quota(uuid), '44000');
  });

  test('a release that cannot be kept is not an error for something that happens all the same', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%');
    const core = await bench.boot();
    await bench.settle();
    fault('open', (at) => at.endsWith('.new'), failing('ENOSPC'));
    // Either it fails and leaves the guest managed, or it acts and succeeds.
    const failed = await core.operator.release({ domain: 'db-1' }).then(
      () => false,
      () => true,
    );
    bench.setQuota(uuid, 20_000);
    await bench.settle();
    assert.equal(bench.quota(uuid), failed ? '20000' : '-1');
  });

  test('the records of a guest that was undefined go with it', async () => {
    const uuid = bench.addGuest({ name: 'job-1', persistent: false });
    bench.setClass('limit: 20%');
    const core = await bench.boot();
    await bench.settle();
    assert.equal(core.parts.journal.of(uuid).length > 0, true);
    const pid = core.parts.inventory.get(uuid)?.process?.pid;
    rmSync(join(bench.tree.proc, String(pid)), { recursive: true });
    bench.libvirt.stopDomain(uuid);
    await pause(300);
    await core.reconciler.resync();
    await bench.settle();
    assert.equal(core.parts.inventory.get(uuid), null);
    assert.deepEqual(core.parts.journal.of(uuid), [], 'the journal grows with every guest that there ever was');
  });

  test('a disk that hangs keeps no recorded guest from being mended', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%');
    const core = await bench.boot();
    await bench.settle();
    fault('open', (at) => at === path('journal.new'), never);
    bench.addGuest({ name: 'db-2' });
    await core.reconciler.resync();
    await pause(20);
    void core.reconciler.full();
    await pause(50);
    bench.setQuota(uuid, 77_000);
    core.reconciler.request(uuid);
    for (let waited = 0; waited < 8_000 && bench.quota(uuid) !== '20000'; waited += 100) await pause(100);
    assert.equal(bench.quota(uuid), '20000');
  });

  test('a state directory that is a file at start: nothing is written, nothing falls over', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%');
    rmSync(bench.stateDir, { recursive: true });
    writeFileSync(bench.stateDir, '');
    await bench.boot();
    await bench.settle();
    assert.equal(bench.quota(uuid), '-1');
    rmSync(bench.stateDir);
    mkdirSync(bench.stateDir);
  });
});
