/**
 * host.io-cost: which disks need it, and the executor with a real journal on disk and the root group of an emulated
 * kernel: on, held, given back, and whatever may go wrong between.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { Group } from '../../../src/host/cgroup/group.js';
import { writeGroupFileLater } from '../../../src/reconcile/apply.js';
import { Contention } from '../../../src/reconcile/contested.js';
import { Counters } from '../../../src/reconcile/counters.js';
import type { Stop } from '../../../src/reconcile/gate.js';
import { IoCost, type IoCostOptions } from '../../../src/reconcile/host-controls/io-cost.js';
import { HOST } from '../../../src/reconcile/host-controls/plan-host.js';
import {
  asksForIoCost,
  IO_COST_CONTROL,
  type IoCostGuest,
  keyOf,
  needsOf,
} from '../../../src/reconcile/host-controls/plan-io-cost.js';
import { Journal } from '../../../src/reconcile/journal.js';
import type { HistoryEntry } from '../../../src/reconcile/types.js';
import { classFrom, type GuestOptions, guestOn, type Layout, onDisk } from '../../controls/some-guest.js';
import { CgroupEmulator } from '../../fakes/cgroup-emulator.js';
import { fakeDisk } from '../../fakes/fake-tuning.js';

const ROOT = '/cg';
const FILE = join(ROOT, 'io.cost.qos');
const [SDA, SDB] = ['8:0', '8:16'];
const AUTO = 'ctrl=auto rpct=0.00 rlat=250000 wpct=0.00 wlat=250000 min=1.00 max=10000.00';
const KNOWN = { allKnown: true };

interface Changes extends Partial<Omit<IoCostGuest, 'domain'>> {
  readonly layout?: Layout;
  readonly keeper?: 'bfq' | 'iocost' | null;
  readonly guest?: GuestOptions;
}

/** A guest on sda that asks for it. */
function onSda({ layout = 'v2-nested', keeper = null, guest = {}, ...changes }: Changes = {}): IoCostGuest {
  const hostDevices = { vda: onDisk(SDA, 'sda', keeper) };
  const domain = guestOn(layout, { tuning: { disks: [fakeDisk({ target: 'vda' })] }, hostDevices, ...guest });
  return { domain, asked: true, handsOff: null, weighted: false, ...changes };
}

describe('a class asks for it', () => {
  const asked: [string, boolean][] = [
    ['disk: { weight: 400, iocost: true }', true],
    ['disk: { weight: 400, iocost: false }', false],
    ['disk: { weight: 400 }', false],
    ['disk: { iocost: true }', false],
  ];
  for (const [text, is] of asked) test(text, () => assert.equal(asksForIoCost(classFrom(text)), is));
});

describe('disks that need it', () => {
  const rows: [string, Changes, string[], boolean?][] = [
    ['that nobody keeps weights on', {}, ['8:0 on']],
    ['that it is on for already', { keeper: 'iocost' }, ['8:0 on']],
    ['not those of BFQ', { keeper: 'bfq' }, []],
    ['not on cgroup v1', { layout: 'v1' }, []],
    ['of a guest without libvirt', { layout: 'bare-scope' }, ['8:0 on']],
    ['not of a class that does not ask', { asked: false }, []],
    ['not of a guest that does not run', { guest: { domain: { process: null } } }, []],
    ['not of one that was released', { handsOff: 'released' }, []],
    ['of one that is held: kept', { handsOff: 'held' }, ['8:0 kept']],
    ['of one that is held, and has left its class', { handsOff: 'held', asked: false, weighted: true }, ['8:0 kept']],
    ['of one that was held without a weight', { handsOff: 'held', asked: false }, []],
    ['of one that cannot be acted on: kept', { guest: { domain: { obstacle: 'two of them' } } }, ['8:0 kept']],
    ['of one whose class is not known', { asked: null }, [], false],
    ['of one that nobody has described', { guest: { domain: { facts: null } } }, [], false],
    ['not known yet', { guest: { hostDevices: {} } }, [], false],
    ['that are none of this host', { guest: { hostDevices: { vda: { ok: false, reason: 'tmpfs' } } } }, []],
    ['of network storage', { guest: { tuning: { disks: [fakeDisk({ target: 'vda', path: null })] } } }, []],
    [
      'of a guest whose groups are hidden',
      { guest: { domain: { groups: {}, obstacle: 'x' } }, weighted: true },
      [],
      false,
    ],
  ];
  for (const [name, changes, expected, known = true] of rows) {
    test(name, () => {
      const needs = needsOf([onSda(changes)]);
      const found = [...needs.disks].map(([device, { keepOnly }]) => `${device} ${keepOnly ? 'kept' : 'on'}`);
      assert.deepEqual([found, needs.known], [expected, known]);
    });
  }

  test('one that may be acted on is enough', () => {
    for (const guests of [
      [onSda(), onSda({ handsOff: 'held' })],
      [onSda({ handsOff: 'held' }), onSda()],
    ]) {
      assert.deepEqual(needsOf(guests).disks.get('8:0'), { name: 'sda', keepOnly: false });
    }
  });
});

/** All of a test's host: kernel, state directory, time. `boot` is a daemon that starts on it. */
class CostHost {
  readonly kernel = new CgroupEmulator([{ root: ROOT, version: 2, controllers: ['io'] }], { disks: ['8:0', '8:16'] });
  readonly stateDir = mkdtempSync(join(tmpdir(), 'virtslad-io-cost-'));
  readonly history: HistoryEntry[] = [];
  readonly log: string[] = [];
  readonly switched: string[] = [];
  readonly counters = new Counters([IO_COST_CONTROL]);
  scheduler: string | null = 'mq-deadline';
  stop: Stop | null = null;
  bootId = 'boot-1';
  nowMs = 0;

  async boot(changes: Partial<IoCostOptions> = {}): Promise<{ ioCost: IoCost; journal: Journal }> {
    const clock = { nowMs: () => this.nowMs, monotonicMs: () => this.nowMs };
    const journal = new Journal(this.stateDir, clock);
    await journal.load({ readOnly: false });
    const say =
      (level: string) =>
      (event: string, fields: object): void =>
        void this.log.push(`${level} ${event} ${(fields as { reason?: string }).reason ?? ''}`.trim());
    const ioCost = new IoCost({
      journal,
      gate: { stop: () => this.stop },
      contention: new Contention(),
      counters: this.counters,
      history: { add: (entries) => void this.history.push(...entries) },
      log: { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') },
      clock,
      bootId: this.bootId,
      root: ROOT,
      openGroup: (path) => Group.open(path, this.kernel),
      write: writeGroupFileLater,
      diskQueue: async () => ({ scheduler: this.scheduler }),
      switched: async (device) => void this.switched.push(device),
      waitMs: 20,
      ...changes,
    });
    return { ioCost, journal };
  }

  get qos(): string {
    return this.kernel.peek(FILE);
  }

  get texts(): string[] {
    return this.kernel.writes.map(({ text }) => text);
  }
}

describe('the io cost controller', () => {
  let host: CostHost;
  beforeEach(() => {
    host = new CostHost();
  });
  afterEach(() => rmSync(host.stateDir, { recursive: true, force: true }));

  test('is switched on, nothing is done at rest, and off again with the last guest that needs it', async () => {
    const { ioCost, journal } = await host.boot();
    assert.equal(ioCost.engaged, false);
    await ioCost.settle([onSda(), onSda()], KNOWN);
    assert.equal(host.qos, `8:0 enable=1 ${AUTO}`);
    assert.deepEqual([host.texts, host.switched, ioCost.engaged], [['8:0 enable=1'], ['8:0'], true]);
    const state = { device: '8:0', name: 'sda', desired: true, actual: true, ours: true };
    assert.deepEqual(ioCost.snapshot(), [{ path: FILE, status: 'holds', reason: null, ...state }]);
    assert.deepEqual(ioCost.outcomes(), [
      { uuid: HOST, domain: HOST, control: IO_COST_CONTROL, outcome: 'applied', message: null },
    ]);
    const record = journal.get(HOST, IO_COST_CONTROL);
    assert.deepEqual(
      [record?.instance, record?.settings],
      ['boot-1', { [keyOf(SDA)]: { original: { text: 'enable=0', from: 'kernel' }, written: ['enable=1'] } }],
    );
    for (let again = 0; again < 3; again++) await ioCost.settle([onSda({ keeper: 'iocost' })], KNOWN);
    assert.deepEqual([ioCost.changes(), host.texts.length], [[], 1]);
    assert.equal(journal.get(HOST, IO_COST_CONTROL), record);
    await ioCost.settle([], KNOWN);
    assert.equal(host.qos, `8:0 enable=0 ${AUTO}`);
    assert.deepEqual([host.switched, ioCost.snapshot(), ioCost.engaged], [['8:0', '8:0'], [], false]);
    assert.equal((await host.boot()).journal.uuids().size, 0);
    assert.deepEqual(
      host.history.map(({ key, from, to, why, outcome }) => [key, from, to, why, outcome]),
      [
        [keyOf(SDA), 'enable=0', 'enable=1', 'policy', 'applied'],
        [keyOf(SDA), 'enable=1', 'enable=0', 'leave', 'applied'],
      ],
    );
    assert.equal(host.counters.writes[IO_COST_CONTROL], 2);
    ioCost.close();
    assert.equal(host.kernel.openDescriptors, 0);
  });

  test('of a released guest goes off', async () => {
    const { ioCost } = await host.boot();
    await ioCost.settle([onSda()], KNOWN);
    await ioCost.settle([onSda({ handsOff: 'held' })], KNOWN);
    assert.match(host.qos, /enable=1/);
    await ioCost.settle([onSda({ handsOff: 'released' })], KNOWN);
    assert.match(host.qos, /enable=0/);
    assert.equal(host.history.at(-1)?.why, 'release');
  });

  test('is not switched on for guests that are held', async () => {
    const { ioCost } = await host.boot();
    await ioCost.settle([onSda({ handsOff: 'held' })], KNOWN);
    assert.deepEqual([host.texts, ioCost.snapshot()], [[], []]);
  });

  test('that was on already is left alone, with all that somebody chose beside it', async () => {
    host.kernel.poke(FILE, '8:0 enable=1 rpct=95.00 rlat=5000');
    const before = host.qos;
    const { ioCost, journal } = await host.boot();
    await ioCost.settle([onSda({ keeper: 'iocost' })], KNOWN);
    assert.deepEqual(
      ioCost.snapshot().map(({ status, ours }) => [status, ours]),
      [['holds', false]],
    );
    await ioCost.settle([], KNOWN);
    assert.deepEqual([host.qos, host.texts, journal.uuids().size], [before, [], 0]);
  });

  test('keeps what somebody chose while it was off', async () => {
    host.kernel.poke(FILE, '8:0 enable=0 rpct=95.00 rlat=5000');
    const chosen = 'ctrl=user rpct=95.00 rlat=5000 wpct=0.00 wlat=250000 min=1.00 max=10000.00';
    const { ioCost } = await host.boot();
    await ioCost.settle([onSda()], KNOWN);
    assert.equal(host.qos, `8:0 enable=1 ${chosen}`);
    await ioCost.settle([], KNOWN);
    assert.equal(host.qos, `8:0 enable=0 ${chosen}`);
  });

  test('stays where it is while not all guests are known', async () => {
    await (await host.boot()).ioCost.settle([onSda()], KNOWN);
    const { ioCost } = await host.boot();
    await ioCost.settle([], { allKnown: false });
    await ioCost.settle([onSda({ guest: { hostDevices: {} } })], KNOWN);
    await ioCost.settle([onSda({ asked: null })], KNOWN);
    assert.match(host.qos, /enable=1/);
    await ioCost.settle([onSda({ asked: false })], KNOWN);
    assert.match(host.qos, /enable=0/);
  });

  test('of a disk that gets BFQ is given back; one that just got it is not switched', async () => {
    const { ioCost, journal } = await host.boot();
    host.scheduler = 'bfq';
    await ioCost.settle([onSda()], KNOWN);
    assert.deepEqual([host.texts, host.switched], [[], ['8:0']]);
    host.scheduler = 'none';
    await ioCost.settle([onSda()], KNOWN);
    assert.match(host.qos, /enable=1/);
    await ioCost.settle([onSda({ keeper: 'bfq' })], KNOWN);
    assert.match(host.qos, /enable=0/);
    assert.equal(journal.uuids().size, 0);
  });

  test('is not switched while the scheduler cannot be told', async () => {
    host.scheduler = null;
    const { ioCost } = await host.boot();
    await ioCost.settle([onSda()], KNOWN);
    assert.deepEqual(host.texts, []);
    assert.match(ioCost.snapshot()[0]?.reason ?? '', /scheduler cannot be told/);
  });

  test('is only planned while nothing may be written', async () => {
    host.stop = 'observe mode';
    const { ioCost, journal } = await host.boot();
    await ioCost.settle([onSda()], KNOWN);
    assert.deepEqual([host.texts, journal.uuids().size], [[], 0]);
    assert.deepEqual(
      ioCost.changes().map(({ domain, key, action, from, to }) => [domain, key, action, from, to]),
      [[HOST, keyOf(SDA), 'add', 'enable=0', 'enable=1']],
    );
    assert.deepEqual(
      ioCost.snapshot().map(({ status, reason }) => `${status}: ${reason}`),
      ['pending: observe mode'],
    );
  });

  test('the kill switch stops it between two disks', async () => {
    const { ioCost } = await host.boot({
      write: (at, text) => {
        host.stop = 'kill switch';
        return writeGroupFileLater(at, text);
      },
    });
    const both = { hostDevices: { vda: onDisk(SDA, 'sda'), vdb: onDisk(SDB, 'sdb') } };
    const tuning = { disks: [fakeDisk({ target: 'vda' }), fakeDisk({ target: 'vdb' })] };
    const guests = [onSda({ guest: { ...both, tuning } })];
    await ioCost.settle(guests, KNOWN);
    assert.deepEqual(host.texts, ['8:0 enable=1']);
    host.stop = null;
    await ioCost.settle(guests, KNOWN);
    assert.equal(host.qos, `8:16 enable=1 ${AUTO}\n8:0 enable=1 ${AUTO}`);
  });

  test('is nothing on cgroup v1', async () => {
    const { ioCost } = await host.boot({ root: null });
    await ioCost.settle([onSda()], KNOWN);
    assert.deepEqual([ioCost.snapshot(), ioCost.changes(), host.texts], [[], [], []]);
  });

  test('that somebody switches off is switched on again, counted as drift; again and again it is contested', async () => {
    const { ioCost } = await host.boot();
    await ioCost.settle([onSda()], KNOWN);
    for (let round = 0; round < 8; round++) {
      host.kernel.poke(FILE, '8:0 enable=0');
      host.nowMs += 5000;
      await ioCost.settle([onSda()], KNOWN);
    }
    assert.ok(host.log.includes('warn control.drift'));
    assert.ok(host.log.includes('error control.contested'));
    assert.equal(host.counters.driftRepairs.unknown, 5);
    assert.match(ioCost.snapshot()[0]?.reason ?? '', /spaced out/);
    // Off is what they want and what we would put back.
    await ioCost.settle([], KNOWN);
    assert.equal(ioCost.engaged, false);
  });
});

describe('a daemon that was killed', () => {
  let host: CostHost;
  beforeEach(() => {
    host = new CostHost();
  });
  afterEach(() => rmSync(host.stateDir, { recursive: true, force: true }));

  test('gives back after its restart what nobody needs any more', async () => {
    await (await host.boot()).ioCost.settle([onSda()], KNOWN);
    const { ioCost, journal } = await host.boot();
    assert.equal(ioCost.engaged, true);
    await ioCost.settle([], KNOWN);
    assert.match(host.qos, /enable=0/);
    assert.equal(journal.uuids().size, 0);
  });

  test('between record and write has nothing to give back, or writes it now', async () => {
    const dies = { write: () => new Promise<never>(() => undefined), waitMs: 1 };
    await (await host.boot(dies)).ioCost.settle([onSda()], KNOWN);
    assert.deepEqual(host.texts, []);
    const again = await host.boot();
    await again.ioCost.settle([onSda()], KNOWN);
    assert.match(host.qos, /enable=1/);
    host.kernel.poke(FILE, '8:0 enable=0');
    const { ioCost, journal } = await host.boot();
    await ioCost.settle([], KNOWN);
    assert.equal(journal.uuids().size, 0);
    assert.deepEqual(host.texts, ['8:0 enable=1']);
  });

  test('and a host that was booted anew: its record is worth nothing', async () => {
    await (await host.boot()).ioCost.settle([onSda()], KNOWN);
    host.bootId = 'boot-2';
    // Somebody else has switched it on in this boot.
    const { ioCost, journal } = await host.boot();
    await ioCost.settle([], KNOWN);
    assert.match(host.qos, /enable=1/);
    assert.equal(journal.uuids().size, 0);
  });

  test('whose journal cannot be saved writes nothing', async () => {
    const { ioCost } = await host.boot();
    rmSync(host.stateDir, { recursive: true });
    writeFileSync(host.stateDir, 'a file where the directory would be');
    await ioCost.settle([onSda()], KNOWN);
    assert.deepEqual(host.texts, []);
    assert.match(ioCost.snapshot()[0]?.reason ?? '', /not on disk/);
  });
});

describe('a kernel that refuses', () => {
  let host: CostHost;
  beforeEach(() => {
    host = new CostHost();
  });
  afterEach(() => rmSync(host.stateDir, { recursive: true, force: true }));

  for (const [errno, words] of [
    ['ENOTSUP', /does not do that here/],
    ['EINVAL', /refused the value/],
    ['ENODEV', /no whole disk, or was removed/],
    ['EACCES', /not permitted/],
  ] as const) {
    test(`${errno}: said once, tried again after 5 s, 10 s …; forgotten with the guest`, async () => {
      const end = host.kernel.fault({ file: 'io.cost.qos', operation: 'write', errno });
      const { ioCost, journal } = await host.boot();
      for (const [atMs, tries] of [
        [0, 1],
        [4_000, 1],
        [5_000, 2],
        [14_000, 2],
        [15_000, 3],
      ] as const) {
        host.nowMs = atMs;
        await ioCost.settle([onSda()], KNOWN);
        assert.equal(host.counters.applyFailures[IO_COST_CONTROL], tries);
      }
      assert.equal(host.log.filter((line) => line.startsWith('error control.write_failed')).length, 1);
      const [state] = ioCost.snapshot();
      assert.equal(state?.status, 'failed');
      assert.match(state.reason ?? '', words);
      assert.equal(ioCost.outcomes()[0]?.outcome, 'failed');
      ioCost.retry();
      end();
      await ioCost.settle([onSda()], KNOWN);
      assert.equal(ioCost.snapshot()[0]?.status, 'holds');
      await ioCost.settle([], KNOWN);
      assert.equal(journal.uuids().size, 0);
    });
  }

  test('takes it and stays off, as for a device-mapper disk', async () => {
    const { ioCost, journal } = await host.boot({ write: async () => ({ kind: 'differs', actual: 'enable=0' }) });
    await ioCost.settle([onSda()], KNOWN);
    assert.match(ioCost.snapshot()[0]?.reason ?? '', /took enable=1 and stands at enable=0/);
    await ioCost.settle([], KNOWN);
    assert.equal(journal.uuids().size, 0);
  });

  test('has no such file: failed, and nothing is recorded', async () => {
    host.kernel.fault({ file: 'io.cost.qos', operation: 'read', errno: 'ENOENT' });
    const { ioCost, journal } = await host.boot();
    await ioCost.settle([onSda()], KNOWN);
    assert.match(ioCost.snapshot()[0]?.reason ?? '', /no such file/);
    assert.equal(journal.uuids().size, 0);
  });

  test('keeps the writer waiting: nothing else is held up, and nothing written beside it', async () => {
    let answer: () => void = () => undefined;
    const asked: string[] = [];
    const { ioCost, journal } = await host.boot({
      write: async (at, text) => {
        asked.push(`${at.device} ${text}`);
        if (asked.length === 1) await new Promise<void>((resolve) => (answer = resolve));
        return writeGroupFileLater(at, text);
      },
    });
    await ioCost.settle([onSda()], KNOWN);
    assert.match(ioCost.snapshot()[0]?.reason ?? '', /has not come to rest/);
    host.nowMs += 60_000;
    // The guest goes meanwhile: the record stays as long as the write may still be carried out.
    await ioCost.settle([], KNOWN);
    assert.equal(asked.length, 1);
    assert.ok(journal.get(HOST, IO_COST_CONTROL));
    answer();
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    assert.match(host.qos, /enable=1/);
    await ioCost.settle([], KNOWN);
    assert.match(host.qos, /enable=0/);
    assert.equal(journal.uuids().size, 0);
  });

  test('a disk that is gone needs nothing back', async () => {
    const { ioCost, journal } = await host.boot();
    await ioCost.settle([onSda()], KNOWN);
    // Its line goes with it.
    host.kernel.group(ROOT).ioCosts.clear();
    await ioCost.settle([], KNOWN);
    assert.deepEqual([journal.uuids().size, host.texts], [0, ['8:0 enable=1']]);
  });
});
