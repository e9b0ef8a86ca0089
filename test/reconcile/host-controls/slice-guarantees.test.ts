/**
 * Groups above guests, raised and given back: the executor with a real journal on disk, the cgroup v2 files of an
 * emulated kernel and a systemd in memory.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { Group } from '../../../src/host/cgroup/group.js';
import { writeGroupFile } from '../../../src/reconcile/apply.js';
import { Contention } from '../../../src/reconcile/contested.js';
import { Counters } from '../../../src/reconcile/counters.js';
import type { Stop } from '../../../src/reconcile/gate.js';
import type { HandsOff } from '../../../src/reconcile/hands-off.js';
import { HOST } from '../../../src/reconcile/host-controls/plan-host.js';
import {
  SliceGuarantees,
  type SliceGuaranteesOptions,
  type SliceGuest,
} from '../../../src/reconcile/host-controls/slice-guarantees.js';
import { SLICE_CONTROL } from '../../../src/reconcile/host-controls/slice-plan.js';
import { Journal } from '../../../src/reconcile/journal.js';
import type { JournalRecord } from '../../../src/reconcile/journal-format.js';
import type { HistoryEntry } from '../../../src/reconcile/types.js';
import { CgroupEmulator } from '../../fakes/cgroup-emulator.js';
import { asks, FakeSystemd, GIB, given, guestIn, MIB, ROOT, unitsOf } from './slice-host.js';

const MACHINE = 'machine.slice';
const PRODUCTION = 'machine.slice/machine-production.slice';
const PARTITION = 'machine/gold.partition';
const G = (count: number): string => String(count * GIB);

/** All of a test's host: kernel, systemd, state directory, time. `boot` is a daemon that starts on it. */
class SliceHost {
  readonly kernel = new CgroupEmulator([{ root: ROOT, version: 2, controllers: ['cpu', 'memory'] }]);
  readonly systemd = new FakeSystemd(this.kernel, unitsOf([MACHINE, PRODUCTION]));
  readonly stateDir = mkdtempSync(join(tmpdir(), 'virtslad-slices-'));
  readonly handsOff = new Map<string, HandsOff>();
  readonly history: HistoryEntry[] = [];
  readonly log: string[] = [];
  readonly counters = new Counters([SLICE_CONTROL]);
  stop: Stop | null = null;
  bootId = 'boot-1';
  nowMs = 0;

  constructor() {
    for (const path of [PRODUCTION, PARTITION]) this.kernel.make(join(ROOT, path));
  }

  async boot(changes: Partial<SliceGuaranteesOptions> = {}): Promise<{ slices: SliceGuarantees; journal: Journal }> {
    const clock = { nowMs: () => this.nowMs, monotonicMs: () => this.nowMs };
    const journal = new Journal(this.stateDir, clock);
    await journal.load({ readOnly: false });
    const say =
      (level: string) =>
      (event: string, fields: object): void =>
        void this.log.push(`${level} ${event} ${(fields as { reason?: string }).reason ?? ''}`.trim());
    const slices = new SliceGuarantees({
      journal,
      gate: { stop: () => this.stop },
      handsOff: { of: (uuid) => this.handsOff.get(uuid) ?? null },
      systemd: this.systemd,
      contention: new Contention(),
      counters: this.counters,
      history: { add: (entries) => void this.history.push(...entries) },
      log: { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') },
      clock,
      hostMemoryBytes: 64 * GIB,
      bootId: this.bootId,
      openGroup: (path) => Group.open(path, this.kernel),
      write: writeGroupFile,
      pause: () => new Promise((resolve) => setImmediate(resolve)),
      ...changes,
    });
    return { slices, journal };
  }

  low(path: string): string {
    return this.kernel.peek(join(ROOT, path, 'memory.low'));
  }

  lows(): Record<string, string> {
    return { machine: this.low(MACHINE), production: this.low(PRODUCTION), gold: this.low(PARTITION) };
  }
}

const inSlice = (uuid: string, bytes: number): SliceGuest => ({
  domain: guestIn(uuid, [PRODUCTION, MACHINE]),
  desired: asks(bytes),
});
const inPartition = (uuid: string, bytes: number): SliceGuest => ({
  domain: guestIn(uuid, [PARTITION, 'machine']),
  desired: asks(bytes),
});
const KNOWN = { mayLower: true };
const NONE: SliceGuest[] = [];

describe('groups above guests', () => {
  let host: SliceHost;
  beforeEach(() => {
    host = new SliceHost();
  });
  afterEach(() => rmSync(host.stateDir, { recursive: true, force: true }));

  test('are raised from the top to the next GiB, and nothing is done at rest', async () => {
    const { slices, journal } = await host.boot();
    const guests = [inSlice('a', 1.5 * GIB), inSlice('b', 1.5 * GIB)];
    await slices.settle(guests, KNOWN);
    assert.deepEqual(host.systemd.calls, ['machine.slice MemoryLow=3G', 'machine-production.slice MemoryLow=3G']);
    assert.deepEqual(host.lows(), { machine: G(3), production: G(3), gold: '0' });
    assert.deepEqual(
      slices.snapshot().map(({ status, desiredBytes }) => [status, desiredBytes]),
      [
        ['holds', 3 * GIB],
        ['holds', 3 * GIB],
      ],
    );
    assert.deepEqual(slices.outcomes(), [
      { uuid: HOST, domain: HOST, control: SLICE_CONTROL, outcome: 'applied', message: null },
    ]);
    const record = journal.get(HOST, SLICE_CONTROL);
    assert.equal(record?.instance, 'boot-1');
    assert.deepEqual(record.settings[join(ROOT, MACHINE, 'memory.low')], {
      original: { text: '0', from: 'kernel' },
      written: [G(3)],
    });
    for (let again = 0; again < 3; again++) await slices.settle(guests, KNOWN);
    assert.deepEqual(slices.changes(), []);
    assert.deepEqual(slices.outcomes(), []);
    assert.equal(host.systemd.calls.length, 2);
    assert.equal(journal.get(HOST, SLICE_CONTROL), record);
    assert.equal(host.counters.writes[SLICE_CONTROL], 2);
    assert.deepEqual(
      host.history.map(({ domain, from, to, why, outcome }) => [domain, from, to, why, outcome]),
      Array(2).fill([HOST, '0', G(3), 'policy', 'applied']),
    );
  });

  test('that no systemd owns are written themselves, and never but through the writer', async () => {
    const { slices } = await host.boot();
    await slices.settle([inPartition('a', 700 * MIB)], KNOWN);
    assert.deepEqual(
      host.kernel.writes.map(({ path, text }) => `${path} ${text}`),
      ['machine', PARTITION].map((path) => `${join(ROOT, path, 'memory.low')} ${G(1)}`),
    );
    await slices.settle(NONE, KNOWN);
    assert.deepEqual(
      host.kernel.writes.slice(2).map(({ path, text }) => `${path} ${text}`),
      [PARTITION, 'machine'].map((path) => `${join(ROOT, path, 'memory.low')} 0`),
    );
    assert.deepEqual(host.systemd.calls, []);
  });

  test('follow a guest that turns hard with memory.min, and leave memory.low', async () => {
    const { slices } = await host.boot();
    await slices.settle([inSlice('a', GIB)], KNOWN);
    await slices.settle([{ ...inSlice('a', GIB), desired: asks(GIB, 'memory.min') }], KNOWN);
    assert.equal(host.low(MACHINE), '0');
    assert.equal(host.kernel.peek(join(ROOT, PRODUCTION, 'memory.min')), G(1));
    await slices.settle(NONE, KNOWN);
    assert.equal(host.kernel.peek(join(ROOT, PRODUCTION, 'memory.min')), '0');
  });

  test('are lowered from the bottom with the guests that go, given back, and forgotten', async () => {
    host.kernel.poke(join(ROOT, MACHINE, 'memory.low'), String(1500 * MIB));
    const { slices, journal } = await host.boot();
    await slices.settle([inSlice('a', 1.5 * GIB), inSlice('b', 3 * GIB)], KNOWN);
    assert.deepEqual(host.lows(), { machine: G(5), production: G(5), gold: '0' });
    host.systemd.calls.length = 0;
    await slices.settle([inSlice('a', 1.5 * GIB)], KNOWN);
    assert.deepEqual(host.systemd.calls, ['machine-production.slice MemoryLow=2G', 'machine.slice MemoryLow=2G']);
    await slices.settle([inSlice('a', 100 * MIB)], KNOWN);
    assert.deepEqual(host.lows(), { machine: String(1500 * MIB), production: G(1), gold: '0' });
    await slices.settle(NONE, KNOWN);
    assert.deepEqual(host.lows(), { machine: String(1500 * MIB), production: '0', gold: '0' });
    assert.equal(journal.get(HOST, SLICE_CONTROL), null);
    assert.equal((await host.boot()).journal.uuids().size, 0);
    assert.equal(host.history.at(-1)?.why, 'leave');
  });

  test('get no more than the host has', async () => {
    const { slices } = await host.boot();
    await slices.settle([inSlice('a', 40 * GIB), inSlice('b', 40 * GIB)], KNOWN);
    assert.equal(host.low(MACHINE), G(64));
  });

  test('keep what they have while not all guests are known', async () => {
    await (await host.boot()).slices.settle([inSlice('a', 4 * GIB)], KNOWN);
    const { slices } = await host.boot();
    await slices.settle([inPartition('b', GIB)], { mayLower: false });
    assert.deepEqual(host.lows(), { machine: G(4), production: G(4), gold: G(1) });
    await slices.settle(NONE, KNOWN);
    assert.deepEqual(host.lows(), { machine: '0', production: '0', gold: '0' });
  });

  test('stay for a guest that is held and are given back when all are released', async () => {
    const { slices, journal } = await host.boot();
    const guest = inSlice('a', 2 * GIB);
    await journal.put([given(guest.domain, 2 * GIB)]);
    await slices.settle([guest], KNOWN);
    host.handsOff.set('a', { kind: 'held', name: 'a', untilMs: null });
    await slices.settle([{ ...guest, desired: { kind: 'unmanaged' } }], KNOWN);
    assert.equal(host.low(MACHINE), G(2));
    host.handsOff.set('a', { kind: 'released', name: 'a', untilMs: null });
    await slices.settle([guest], KNOWN);
    assert.equal(host.low(MACHINE), '0');
    assert.deepEqual([...journal.uuids()], ['a']);
    assert.equal(host.history.at(-1)?.why, 'release');
  });

  test('are only planned while nothing may be written', async () => {
    host.stop = 'observe mode';
    const { slices, journal } = await host.boot();
    await slices.settle([inSlice('a', GIB), inPartition('b', GIB)], KNOWN);
    assert.deepEqual([host.systemd.calls, host.kernel.writes], [[], []]);
    assert.equal(journal.uuids().size, 0);
    assert.deepEqual(
      slices.changes().map(({ domain, control, action, from, to }) => [domain, control, action, from, to]),
      Array(4).fill([HOST, SLICE_CONTROL, 'add', '0', G(1)]),
    );
    assert.deepEqual(
      slices.snapshot().map(({ status, reason }) => `${status}: ${reason}`),
      Array(4).fill('pending: observe mode'),
    );
  });

  test('stop half way when the kill switch comes', async () => {
    const set = host.systemd.set.bind(host.systemd);
    const { slices } = await host.boot({
      systemd: {
        set: (unit, properties) => {
          host.stop = 'kill switch';
          return set(unit, properties);
        },
      },
    });
    await slices.settle([inSlice('a', GIB)], KNOWN);
    assert.deepEqual(host.lows(), { machine: G(1), production: '0', gold: '0' });
    host.stop = null;
    await slices.settle([inSlice('a', GIB)], KNOWN);
    assert.equal(host.low(PRODUCTION), G(1));
  });
});

describe('somebody else', () => {
  let host: SliceHost;
  const machine = join(ROOT, MACHINE, 'memory.low');
  beforeEach(() => {
    host = new SliceHost();
  });
  afterEach(() => rmSync(host.stateDir, { recursive: true, force: true }));

  test('who has set more is left alone', async () => {
    host.kernel.poke(machine, 'max');
    const { slices } = await host.boot();
    await slices.settle([inSlice('a', GIB)], KNOWN);
    assert.deepEqual(host.systemd.calls, ['machine-production.slice MemoryLow=1G']);
    assert.deepEqual(
      slices.snapshot().map(({ status, actualBytes }) => [status, actualBytes]),
      [
        ['holds', 64 * GIB],
        ['holds', GIB],
      ],
    );
    await slices.settle(NONE, KNOWN);
    assert.deepEqual(host.lows(), { machine: 'max', production: '0', gold: '0' });
  });

  test('who lowers it is undone in the next look, counted as drift, and gets back what they set', async () => {
    const { slices } = await host.boot();
    await slices.settle([inSlice('a', 2 * GIB)], KNOWN);
    host.kernel.poke(machine, String(300 * MIB));
    await slices.settle([inSlice('a', 2 * GIB)], KNOWN);
    assert.equal(host.low(MACHINE), G(2));
    assert.equal(host.counters.driftRepairs.unknown, 1);
    assert.equal(host.history.at(-1)?.why, 'drift');
    assert.ok(host.log.includes('warn control.drift'));
    await slices.settle(NONE, KNOWN);
    assert.equal(host.low(MACHINE), String(300 * MIB));
  });

  test('who raises it over ours keeps that', async () => {
    const { slices, journal } = await host.boot();
    await slices.settle([inSlice('a', 2 * GIB)], KNOWN);
    host.kernel.poke(machine, String(2500 * MIB));
    await slices.settle([inSlice('a', 2 * GIB)], KNOWN);
    await slices.settle(NONE, KNOWN);
    assert.deepEqual(host.lows(), { machine: String(2500 * MIB), production: '0', gold: '0' });
    assert.equal(journal.get(HOST, SLICE_CONTROL), null);
  });

  test('who lowers it again and again is contested: repairs are spaced out', async () => {
    const { slices } = await host.boot();
    const guests = [inSlice('a', 2 * GIB)];
    await slices.settle(guests, KNOWN);
    for (let round = 0; round < 8; round++) {
      host.kernel.poke(machine, '0');
      host.nowMs += 5000;
      await slices.settle(guests, KNOWN);
    }
    assert.ok(host.log.includes('error control.contested'));
    assert.equal(host.counters.driftRepairs.unknown, 5);
    assert.match(slices.snapshot()[0]?.reason ?? '', /spaced out/);
    host.nowMs += 30_000;
    await slices.settle(guests, KNOWN);
    assert.equal(host.low(MACHINE), G(2));
  });

  test('who writes between the look and the write is looked at anew', async () => {
    const { slices } = await host.boot({
      write: (at, text) => {
        if (at.group.path.endsWith('/machine')) host.kernel.poke(join(ROOT, PARTITION, 'memory.low'), G(9));
        return writeGroupFile(at, text);
      },
    });
    await slices.settle([inPartition('a', GIB)], KNOWN);
    assert.equal(host.low(PARTITION), G(9));
  });

  test('who removes the group and makes it anew', async () => {
    const { slices } = await host.boot();
    await slices.settle([inPartition('a', GIB)], KNOWN);
    host.kernel.removeTree(join(ROOT, PARTITION));
    await slices.settle(NONE, KNOWN);
    assert.deepEqual(slices.snapshot(), []);
    host.kernel.make(join(ROOT, PARTITION));
    await slices.settle([inPartition('a', GIB)], KNOWN);
    assert.equal(host.low(PARTITION), G(1));
    slices.close();
    assert.equal(host.kernel.openDescriptors, 0);
  });
});

describe('a slice that systemd removes', () => {
  test('with the last guest has our value again when it is back, and that is given back then', async () => {
    const host = new SliceHost();
    const { slices, journal } = await host.boot();
    await slices.settle([inSlice('a', GIB)], KNOWN);
    host.kernel.removeTree(join(ROOT, PRODUCTION));
    await slices.settle(NONE, KNOWN);
    assert.equal(host.low(MACHINE), '0');
    assert.deepEqual(slices.snapshot(), []);
    host.kernel.make(join(ROOT, PRODUCTION));
    host.kernel.poke(join(ROOT, PRODUCTION, 'memory.low'), G(1));
    await slices.settle(NONE, KNOWN);
    assert.equal(host.low(PRODUCTION), '0');
    assert.equal(journal.get(HOST, SLICE_CONTROL), null);
    rmSync(host.stateDir, { recursive: true, force: true });
  });
});

describe('what fails', () => {
  let host: SliceHost;
  beforeEach(() => {
    host = new SliceHost();
  });
  afterEach(() => rmSync(host.stateDir, { recursive: true, force: true }));
  const guests = [inSlice('a', GIB)];
  const failures = (): string[] => host.log.filter((line) => line.startsWith('error control.write_failed'));

  test('systemd that is absent is asked less and less, said once, and nothing else waits for it', async () => {
    host.systemd.answer = 'absent';
    const { slices } = await host.boot();
    const all = [...guests, inPartition('b', GIB)];
    for (let second = 0; second < 60; second += 5) {
      host.nowMs = second * 1000;
      await slices.settle(all, KNOWN);
    }
    assert.equal(host.low(PARTITION), G(1));
    assert.equal(host.systemd.calls.length, 4, 'at 0, 5, 15 and 35 s');
    assert.deepEqual(failures(), ['error control.write_failed systemd does not run here']);
    const [outcome] = slices.outcomes();
    assert.equal(outcome?.outcome, 'failed');
    assert.match(outcome.message ?? '', /systemd does not run here$/);
    const slice = slices.snapshot().filter(({ path }) => path.includes('.slice'));
    assert.deepEqual(
      slice.map(({ status, reason }) => `${status}: ${reason}`),
      Array(2).fill('failed: systemd does not run here'),
    );
    host.systemd.answer = 'ok';
    slices.retry();
    await slices.settle(all, KNOWN);
    assert.equal(host.low(PRODUCTION), G(1));
  });

  test('waits at most five minutes', async () => {
    host.systemd.answer = 'refused';
    const { slices } = await host.boot();
    const asked: number[] = [];
    for (host.nowMs = 0; host.nowMs < 3_600_000; host.nowMs += 5000) {
      const before = host.systemd.calls.length;
      await slices.settle(guests, KNOWN);
      if (host.systemd.calls.length > before) asked.push(host.nowMs);
    }
    const last = asked.slice(-2);
    assert.equal((last[1] ?? 0) - (last[0] ?? 0), 300_000);
    assert.equal(failures().length, 2, 'one for each of two slices');
  });

  test('a word of systemd that the kernel does not bear out is a failure', async () => {
    host.systemd.answer = 'deaf';
    const { slices } = await host.boot();
    await slices.settle(guests, KNOWN);
    assert.equal(failures()[0], `error control.write_failed systemd took ${G(1)} and 0 stands there`);
  });

  test('a call that overran and comes after all does not outlive the guests', async () => {
    const { slices, journal } = await host.boot();
    host.systemd.answer = 'late';
    await slices.settle(guests, KNOWN);
    await slices.settle(NONE, KNOWN);
    assert.notEqual(journal.get(HOST, SLICE_CONTROL), null, 'kept while it may come');
    host.systemd.answer = 'ok';
    host.nowMs += 5000;
    await slices.settle(NONE, KNOWN);
    assert.deepEqual(host.lows(), { machine: '0', production: '0', gold: '0' });
    assert.equal(journal.get(HOST, SLICE_CONTROL), null);
    assert.ok(host.history.every(({ from, to }) => from !== to));
  });

  test('a slice of another systemd is not touched', async () => {
    const user = 'user.slice/user-1000.slice/user@1000.service/app.slice';
    host.kernel.make(join(ROOT, user));
    const { slices } = await host.boot();
    await slices.settle([{ domain: guestIn('a', [user]), desired: asks(GIB) }], KNOWN);
    assert.deepEqual([host.systemd.calls, host.kernel.writes, host.low(user)], [[], [], '0']);
    assert.equal(slices.snapshot()[0]?.reason, 'another systemd than the system’s owns it');
  });

  test('a group that has gone, or lacks the file, is data', async () => {
    const { slices } = await host.boot();
    await slices.settle([{ domain: guestIn('a', ['gone', 'machine']), desired: asks(GIB) }], KNOWN);
    assert.deepEqual(
      slices.snapshot().map(({ status }) => status),
      ['failed', 'holds'],
    );
  });

  for (const errno of ['EACCES', 'EROFS', 'EINVAL', 'ENOMEM', 'EBUSY', 'EIO', 'ENOSPC']) {
    test(`${errno} of a write is told and tried again; the others are written`, async () => {
      const end = host.kernel.fault({ file: /gold\.partition\/memory\.low/, operation: 'write', errno });
      const { slices } = await host.boot();
      await slices.settle([inPartition('a', GIB), ...guests], KNOWN);
      assert.deepEqual(host.lows(), { machine: G(1), production: G(1), gold: '0' });
      assert.equal(slices.outcomes()[0]?.outcome, 'failed');
      assert.equal(host.counters.applyFailures[SLICE_CONTROL], 1);
      end();
      host.nowMs += 5000;
      await slices.settle([inPartition('a', GIB), ...guests], KNOWN);
      assert.equal(host.low(PARTITION), G(1));
    });
  }

  test('nothing is written whose record is not on disk', async () => {
    const { slices } = await host.boot();
    rmSync(host.stateDir, { recursive: true });
    writeFileSync(host.stateDir, 'a file where the directory would be');
    await slices.settle(guests, KNOWN);
    await slices.settle(guests, KNOWN);
    assert.deepEqual(host.systemd.calls, []);
    assert.match(slices.snapshot()[0]?.reason ?? '', /not on disk/);
    rmSync(host.stateDir);
    await slices.settle(guests, KNOWN);
    assert.equal(host.low(PRODUCTION), G(1));
  });

  test('of several calls that overran, whichever comes in the end is ours', async () => {
    const { slices } = await host.boot();
    host.systemd.answer = 'late';
    await slices.settle([inSlice('a', 2 * GIB)], KNOWN);
    host.systemd.answer = 'refused';
    host.nowMs += 5000;
    await slices.settle([inSlice('a', 4 * GIB)], KNOWN);
    host.systemd.catchUp();
    const next = await host.boot();
    host.systemd.answer = 'ok';
    await next.slices.settle([inSlice('a', 3 * GIB)], KNOWN);
    await next.slices.settle(NONE, KNOWN);
    assert.deepEqual(host.lows(), { machine: '0', production: '0', gold: '0' });
  });

  test('a record of another boot is dropped: the same value is somebody else’s now', async () => {
    await (await host.boot()).slices.settle(guests, KNOWN);
    host.kernel.poke(join(ROOT, PRODUCTION, 'memory.low'), '0');
    host.bootId = 'boot-2';
    const { slices, journal } = await host.boot();
    await slices.settle(NONE, KNOWN);
    assert.equal(journal.get(HOST, SLICE_CONTROL), null);
    assert.deepEqual(host.lows(), { machine: G(1), production: '0', gold: '0' });
  });
});

describe('a daemon that dies at any moment', () => {
  const ORIGINAL = { machine: String(700 * MIB), production: '0', gold: '0' };

  /** Lives until it has begun `most` things of which it waits for the end. */
  async function live(host: SliceHost, most: number, looks: readonly (readonly SliceGuest[])[]): Promise<boolean> {
    let begun = 0;
    let die: (() => void) | undefined;
    const death = new Promise<boolean>((resolve) => {
      die = () => resolve(false);
    });
    const step = <T>(work: () => T): T | Promise<never> => {
      if (begun++ < most) return work();
      die?.();
      return new Promise<never>(() => undefined);
    };
    const { journal } = await host.boot();
    const mortal: SliceGuaranteesOptions['journal'] = {
      get: (uuid, control) => journal.get(uuid, control),
      covers: (uuid, control) => journal.covers(uuid, control),
      put: async (records: readonly JournalRecord[]) => {
        await step(() => journal.put(records));
        await step(() => undefined);
      },
      remove: async (keys) => {
        await step(() => journal.remove(keys));
        await step(() => undefined);
      },
      saveError: null,
    };
    const { slices } = await host.boot({
      journal: mortal,
      systemd: {
        set: async (unit, properties) => {
          const outcome = await step(() => host.systemd.set(unit, properties));
          await step(() => undefined);
          return outcome;
        },
      },
      pause: () => Promise.resolve(step(() => new Promise<void>((resolve) => setImmediate(resolve)))),
    });
    const life = (async () => {
      for (const guests of looks) await slices.settle(guests, KNOWN);
      return true;
    })();
    const whole = await Promise.race([life, death]);
    // What systemd was told is done, whoever asked for it.
    await new Promise((resolve) => setImmediate(resolve));
    return whole;
  }

  test('is followed by one that converges and gives back what stood there first', async () => {
    const small = [inSlice('a', 1.5 * GIB), inPartition('p', GIB)];
    const large = [...small, inSlice('b', 3 * GIB)];
    const levels = { machine: G(5), production: G(5), gold: G(1) };
    for (const looks of [[large], [small, large], [large, small], [large, NONE], [large, small, NONE]]) {
      for (const after of [small, large, NONE]) {
        let whole = false;
        for (let most = 0; !whole; most++) {
          assert.ok(most < 200);
          const host = new SliceHost();
          host.kernel.poke(join(ROOT, MACHINE, 'memory.low'), ORIGINAL.machine);
          whole = await live(host, most, looks);
          const { slices, journal } = await host.boot();
          await slices.settle(after, KNOWN);
          if (after === large) assert.deepEqual(host.lows(), levels);
          if (after === small) assert.deepEqual(host.lows(), { machine: G(2), production: G(2), gold: G(1) });
          await slices.settle(NONE, KNOWN);
          assert.deepEqual(host.lows(), ORIGINAL, `dead after ${most} steps`);
          assert.equal(journal.get(HOST, SLICE_CONTROL), null);
          rmSync(host.stateDir, { recursive: true, force: true });
        }
      }
    }
  });
});
