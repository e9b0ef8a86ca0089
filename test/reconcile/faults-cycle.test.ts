/** Cycles, errands and events against each other, and one guest's trouble against all the others. */
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { systemClock } from '../../src/host/clock.js';
import type { LoadResult } from '../../src/policy/loader.js';
import { Generations } from '../../src/reconcile/generations.js';
import { formatOriginalsXml } from '../../src/reconcile/originals-xml.js';
import { Bench, NO_REAL_GROUPS, pause } from './faults-bench.js';

describe('cycle on the kernel’s groups', { skip: NO_REAL_GROUPS }, () => {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench('real');
  });
  afterEach(() => bench.remove());
  const sets = () => bench.libvirt.calls.filter(({ op }) => op === 'tune');

  test('one guest that cannot be planned stops no other', async () => {
    const settings = {
      'vcpu0/cpu.max': { original: { text: `${'9'.repeat(400)} 100000`, from: 'xml' }, written: ['30000 100000'] },
    } as const;
    const record = { uuid: '', name: '', control: 'cpu.limit', instance: '', settings };
    bench.addGuest({
      name: 'alien',
      cputune: { vcpuQuotaUsec: 30_000 },
      originalsXml: formatOriginalsXml([record]) ?? '',
    });
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.policy =
      'version: 1\nclasses:\n  gold:\n    cpu: { limit: 20% }\nassignments:\n  - { class: gold, match: { name: "db-*" } }\n';
    const core = await bench.boot({ blind: true });
    await core.reconciler.resync();
    await core.reconciler.full().catch(() => undefined);
    await pause(20);
    assert.equal(bench.quota(uuid), '20000');
  });

  test('a guest that comes while a full cycle runs is not forgotten by it', async () => {
    let arrive: (() => void) | null = null;
    let uuid = '';
    bench.setClass('limit: 20%');
    bench.addGuest({ name: 'db-1' });
    const core: Awaited<ReturnType<typeof bench.boot>> = await bench.boot({
      sample: async () => {
        arrive?.();
        // Looked at beside the cycle, which must not end before.
        for (let waited = 0; uuid !== '' && !core.parts.memory.uuids().includes(uuid) && waited < 2_000; waited += 10)
          await pause(10);
      },
    });
    await bench.settle();
    arrive = () => {
      arrive = null;
      uuid = bench.addGuest({ name: 'db-2' });
    };
    await core.reconciler.full();
    assert.notEqual(core.parts.picture.get(uuid), null);
    assert.ok(core.parts.memory.uuids().includes(uuid), 'drift right after the start would not be known as such');
  });

  test('libvirt is told once for one change, however often the guest is looked at meanwhile', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%');
    bench.libvirt.setLatency(15);
    const core = await bench.boot();
    for (let look = 0; look < 40; look++) {
      core.reconciler.request(uuid);
      await pause(3);
    }
    await core.parts.teller.idle();
    assert.equal(sets().length, 1);
  });

  test('a policy edit while libvirt is told an older value ends at the newer one, with no drift counted', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%');
    bench.libvirt.setLatency(40);
    const core = await bench.boot();
    bench.setClass('limit: 50%');
    await core.operator.reload();
    assert.equal(bench.quota(uuid), '50000');
    for (let look = 0; look < 60; look++) {
      core.reconciler.request(uuid);
      await pause(5);
    }
    bench.libvirt.setLatency(0);
    await bench.settle();
    await pause(350);
    assert.equal(bench.quota(uuid), '50000');
    assert.equal(bench.libvirt.cputune(uuid).vcpuQuotaUsec, 50_000);
    assert.deepEqual(core.parts.counters.driftRepairs, { libvirt: 0, systemd: 0, unknown: 0 });
  });

  test('the kill switch stops errands that have not begun', async () => {
    bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%, weight: 50');
    bench.libvirt.setLatency(60);
    const core = await bench.boot();
    await pause(10);
    writeFileSync(bench.killSwitch, '');
    const begun = bench.libvirt.calls.filter(({ op }) => op.startsWith('set')).length;
    await core.parts.teller.idle();
    assert.equal(bench.libvirt.calls.filter(({ op }) => op.startsWith('set')).length, begun);
  });

  test('the kill switch stops a cycle between two guests', async () => {
    const uuids = Array.from({ length: 4 }, (_, index) => bench.addGuest({ name: `db-${index}` }));
    bench.setClass('limit: 20%');
    const core = await bench.boot();
    await bench.settle();
    bench.setClass('limit: 30%');
    const put = core.parts.journal.put.bind(core.parts.journal);
    core.parts.journal.put = async (records) => {
      await put(records);
      writeFileSync(bench.killSwitch, '');
    };
    await core.operator.reload();
    assert.deepEqual(
      uuids.map((uuid) => bench.quota(uuid)),
      uuids.map(() => '20000'),
    );
    rmSync(bench.killSwitch);
    core.parts.journal.put = put;
    await bench.settle();
    assert.equal(bench.quota(uuids[0] ?? ''), '30000');
  });

  test('observe mode writes nothing, to the kernel, to libvirt or to the journal', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%, weight: 50');
    bench.mode = 'observe';
    const core = await bench.boot();
    await bench.settle();
    assert.equal(bench.quota(uuid), '-1');
    assert.equal(bench.libvirt.calls.filter(({ op }) => op.startsWith('set')).length, 0);
    assert.equal(core.parts.journal.uuids().size, 0);
  });

  test('a guest of which libvirt hangs at start keeps no other waiting', async () => {
    const stuck = bench.addGuest({ name: 'stuck' });
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%');
    const core = await bench.boot({ blind: true });
    const facts = bench.libvirt.facts.bind(bench.libvirt);
    bench.libvirt.facts = async (asked) => {
      if (asked === stuck) await pause(400);
      return facts(asked);
    };
    void core.reconciler.resync();
    await pause(100);
    await core.reconciler.full();
    await pause(50);
    assert.equal(bench.quota(uuid), '20000');
    await pause(400);
  });

  test('libvirtd and all its answers gone: drift is mended all the same', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%');
    const core = await bench.boot();
    await bench.settle();
    bench.libvirt.disconnect('killed');
    bench.setQuota(uuid, 90_000);
    await core.reconciler.full();
    assert.equal(bench.quota(uuid), '20000');
  });

  test('a list asked for while an older one is under way shows what came in between', async () => {
    bench.setClass('limit: 20%');
    const core = await bench.boot();
    const list = bench.libvirt.list.bind(bench.libvirt);
    bench.libvirt.list = async () => {
      const answer = await list();
      await pause(40);
      return answer;
    };
    const older = core.reconciler.resync();
    await pause(10);
    const uuid = bench.addGuest({ name: 'db-1' });
    await core.reconciler.resync();
    assert.notEqual(core.parts.inventory.handles(uuid), null);
    await older;
  });

  test('guests that libvirt has not described yet are not left out of the blast radius', async () => {
    const uuids = Array.from({ length: 8 }, (_, index) => bench.addGuest({ name: `db-${index}` }));
    bench.setClass('limit: 20%');
    await bench.boot();
    await bench.settle();
    bench.setClass('limit: 30%');
    for (const uuid of uuids) bench.libvirt.refuse(uuid, 'busy');
    const core = await bench.boot();
    await bench.settle();
    for (const uuid of uuids) bench.libvirt.refuse(uuid, null);
    await core.reconciler.resync();
    await bench.settle();
    assert.deepEqual(
      uuids.map((uuid) => bench.quota(uuid)),
      uuids.map(() => '20000'),
    );
  });

  test('a guest restarted under the same name is written in its new groups only, with its own originals', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('limit: 20%');
    const core = await bench.boot();
    await bench.settle();
    const pid = core.parts.inventory.get(uuid)?.process?.pid;
    rmSync(`${bench.tree.proc}/${pid}`, { recursive: true });
    bench.libvirt.stopDomain(uuid);
    bench.startGuest(uuid, { name: 'db-1' });
    await pause(20);
    await core.reconciler.resync();
    await bench.settle();
    assert.equal(bench.quota(uuid), '20000');
    await core.operator.release({ domain: 'db-1' });
    await bench.settle();
    assert.equal(bench.quota(uuid), '-1');
  });
});

describe('what only libvirt may write (systemd owns the scope)', () => {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench('files');
  });
  afterEach(() => bench.remove());

  test('the weight is set through libvirt and read back', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('weight: 250');
    await bench.boot();
    await bench.settle();
    assert.equal(bench.weight(uuid), '250');
  });

  test('a weight that someone changed behind libvirt’s back is put back', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('weight: 250');
    const core = await bench.boot();
    await bench.settle();
    writeFileSync(bench.weightFile(uuid), '100');
    await core.reconciler.full();
    await core.parts.teller.idle();
    await pause(20);
    assert.equal(bench.weight(uuid), '250');
  });

  test('it is put back each time, not once a minute', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('weight: 250');
    const core = await bench.boot();
    await bench.settle();
    for (const foreign of ['100', '300']) {
      writeFileSync(bench.weightFile(uuid), foreign);
      await core.reconciler.full();
      await core.parts.teller.idle();
      await pause(20);
      assert.equal(bench.weight(uuid), '250', `after a foreign ${foreign}`);
    }
  });

  test('release puts the weight back though libvirt’s view says so already', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('weight: 250');
    const core = await bench.boot();
    await bench.settle();
    // As `virsh define` of the same XML on some versions does: the view is new, the kernel is not.
    const own = bench.libvirt.facts.bind(bench.libvirt);
    bench.libvirt.facts = async (asked) => {
      const facts = await own(asked);
      return facts.ok
        ? { ok: true, value: { ...facts.value, tuning: { ...facts.value.tuning, cpu: { realtimeVcpus: false } } } }
        : facts;
    };
    await core.parts.inventory.refreshFacts(uuid);
    await core.operator.release({ domain: 'db-1' });
    await bench.settle();
    assert.equal(bench.weight(uuid), '100');
  });

  test('ten minutes without libvirtd, and two cycles after it is back the weight stands', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('weight: 250');
    const core = await bench.boot();
    await bench.settle();
    bench.libvirt.disconnect('killed');
    bench.setClass('weight: 400');
    await core.operator.reload();
    for (let cycles = 0; cycles < 120; cycles++) {
      bench.aheadMs += 5_000;
      await core.reconciler.full();
      await core.parts.teller.idle();
    }
    bench.libvirt.reconnect();
    for (let cycles = 0; cycles < 2; cycles++) {
      bench.aheadMs += 5_000;
      await bench.settle();
    }
    assert.equal(bench.weight(uuid), '400');
  });

  test('a guest whose monitor hung is told as soon as it answers again', async () => {
    const uuid = bench.addGuest({ name: 'db-1' });
    bench.setClass('weight: 250');
    const core = await bench.boot();
    await bench.settle();
    bench.libvirt.hang(uuid);
    bench.setClass('weight: 400');
    await core.operator.reload();
    for (let cycles = 0; cycles < 60; cycles++) {
      bench.aheadMs += 5_000;
      await core.reconciler.full();
      await core.parts.teller.idle();
    }
    bench.libvirt.recover(uuid);
    for (let cycles = 0; cycles < 2; cycles++) {
      bench.aheadMs += 5_000;
      await bench.settle();
    }
    assert.equal(bench.weight(uuid), '400');
  });
});

describe('policy reloads', () => {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench('files');
  });
  afterEach(() => bench.remove());

  test('a reader of policies that cannot start is a failed reload, not a rejection', async () => {
    const generations = new Generations({
      stateDir: bench.stateDir,
      load: () => Promise.reject(new Error('Worker initialization failure: EMFILE')),
      clock: systemClock,
      blastRadius: { percent: 20, domains: 5 },
      persist: false,
    });
    assert.equal(await generations.reload(), false);
    assert.equal(generations.reloadFailures, 1);
    assert.match(generations.problems.join(), /EMFILE/);
  });

  test('a reload that began earlier and ends later does not bring old files back', async () => {
    const loads: ((result: LoadResult) => void)[] = [];
    const generations = new Generations({
      stateDir: bench.stateDir,
      load: () => new Promise((resolve) => loads.push(resolve)),
      clock: systemClock,
      blastRadius: { percent: 20, domains: 5 },
      persist: false,
    });
    const none = () => ({ affected: 0, total: 0 });
    bench.setClass('limit: 20%');
    const old = bench.load();
    bench.setClass('limit: 30%');
    const edited = bench.load();
    const first = generations.reload();
    await pause(5);
    const second = generations.reload();
    await pause(5);
    // The second reading, made after the edit, is done first, if both run at once.
    loads[1]?.(edited);
    await pause(5);
    await generations.settle(none);
    loads[0]?.(old);
    await pause(5);
    loads[1]?.(edited);
    await Promise.all([first, second]);
    await generations.settle(none);
    assert.ok(edited.ok);
    assert.equal(generations.active?.id, edited.generation.id);
  });
});
