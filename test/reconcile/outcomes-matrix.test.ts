/**
 * What libvirt or systemd answers × the controls that go through them: refused, no answer in time, quarantined, no
 * connection, vanished. Others converge, what failed is said, nobody is asked in a loop, and all is well afterwards.
 */
import assert from 'node:assert/strict';
import { basename } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { LibvirtFailure, TuneCall } from '../../src/host/libvirt/client.js';
import { EmulatedBench } from './emulated-bench.js';
import type { Answer } from './emulated-systemd.js';

const CYCLES = 20;
const FEW_CYCLES = 5;
/** 5 s, doubling, in 100 s. */
const CALLS_MOST = 6;
const MENDED_MS = 11 * 60_000;

const FAILURES: readonly LibvirtFailure[] = ['refused', 'timeout', 'quarantined', 'disconnected', 'vanished'];

interface Row {
  readonly control: string;
  /** The kernel has its value from us already: libvirt's view is all that is missing. */
  readonly told: boolean;
  readonly isIts: (call: TuneCall) => boolean;
}

const ROWS: readonly Row[] = [
  { control: 'disk.limit', told: false, isIts: ({ call }) => call === 'throttle' },
  { control: 'network.limit', told: false, isIts: ({ call }) => call === 'bandwidth' },
  {
    control: 'cpu.weight',
    told: false,
    isIts: (one) => one.call === 'scheduler' && one.parameters.cpu_shares !== undefined,
  },
  { control: 'disk.weight', told: false, isIts: ({ call }) => call === 'blkio' },
  {
    control: 'cpu.limit',
    told: true,
    isIts: (one) => one.call === 'scheduler' && one.parameters.vcpu_quota !== undefined,
  },
  { control: 'cpu.pin', told: true, isIts: ({ call }) => call === 'pin' },
  {
    control: 'memory.limit',
    told: true,
    isIts: (one) => one.call === 'memory' && one.parameters.hard_limit !== undefined,
  },
  {
    control: 'memory.high',
    told: true,
    isIts: (one) => one.call === 'memory' && one.parameters.soft_limit !== undefined,
  },
];

const CLASS = `
  cpu: { limit: 50%, weight: 150, pin: "0-3" }
  memory: { limit: 2GiB, high: 1536MiB }
  disk: { weight: 400, via: qemu, limit: { iops: 500 } }
  network: { limit: { in: 10Mbit/s, out: 5Mbit/s } }`;
const OTHER_CLASS = `
  cpu: { limit: 40%, weight: 250, pin: "0-2" }
  memory: { limit: 3GiB, high: 2560MiB }
  disk: { weight: 300, via: qemu, limit: { iops: 600 } }
  network: { limit: { in: 11Mbit/s, out: 6Mbit/s } }`;

const DEVICES = { vcpus: 2, disks: [{ target: 'vda' }], interfaces: [{ mac: '52:54:00:00:00:01' }] };

function wrongOf(at: EmulatedBench, uuid: string, left: readonly string[] = []): Record<string, string> {
  return Object.fromEntries(
    Object.entries(at.statuses(uuid)).filter(([id, status]) => !left.includes(id) && status !== 'holds'),
  );
}

/** A pin cannot be taken off a group that has threads in it: all CPUs are the same. */
function freed(values: ReadonlyMap<string, string>): Record<string, string> {
  const text = (path: string, value: string) => (path.endsWith('cpuset.cpus') ? value || '0-7' : value);
  return Object.fromEntries([...values].map(([path, value]) => [path, text(path, value)]));
}

describe('what libvirt answers', () => {
  let at: EmulatedBench;
  let faulty = true;
  let made: { readonly uuid: string; readonly control: string }[] = [];
  const guests = new Map<string, { readonly row: Row; readonly failure: LibvirtFailure }>();
  let well = '';

  beforeEach(() => {
    at = new EmulatedBench('v2-nested');
    faulty = true;
    made = [];
    guests.clear();
    well = at.addGuest({ name: 'well', ...DEVICES });
    at.tuneFault = (uuid, calls) => {
      const guest = guests.get(uuid);
      if (!faulty || guest === undefined || !calls.some(guest.row.isIts)) return null;
      made.push({ uuid, control: guest.row.control });
      return { ok: false, failure: guest.failure, message: `libvirt: ${guest.failure}` };
    };
  });
  afterEach(() => at.remove());

  function check(log: number): void {
    assert.deepEqual(wrongOf(at, well), {}, 'the other guest converges');
    for (const [uuid, { row, failure }] of guests) {
      const { control, told } = row;
      const said = at.control(uuid, control) ?? assert.fail(`no ${control}`);
      const words = `${control}, ${failure}: ${said.status}: ${said.reason}`;
      assert.deepEqual(wrongOf(at, uuid, [control]), {}, `${words}: its other controls hold`);
      const away = failure === 'quarantined' || failure === 'disconnected';
      if (told) assert.equal(said.status, 'holds', words);
      else assert.equal(said.status, failure === 'vanished' ? 'pending' : 'failed', words);
      assert.ok(told || said.reason !== null, words);
      if (failure !== 'vanished') {
        const why = told ? said.notes.join() : (said.reason ?? '');
        assert.match(why, new RegExp(`libvirt: ${failure}`), words);
      }
      const calls = made.filter((one) => one.uuid === uuid).length;
      assert.ok(calls >= 1 && calls <= (away ? CYCLES + 2 : CALLS_MOST), `${words}: ${calls} calls`);
      const lines = at.core.log
        .slice(log)
        .filter(({ event, fields, level }) => /fail/.test(event) && fields.uuid === uuid && level !== 'debug');
      assert.ok(
        lines.length <= (away || failure === 'vanished' ? 0 : 3 * CALLS_MOST),
        `${words}: ${lines.length} lines`,
      );
      assert.equal(at.snapshot(uuid).compliant, told, words);
    }
    assert.equal(at.core.parts.counters.cycleFailures, 0);
  }

  test('from the start, after an edit and at a release', async () => {
    for (const row of ROWS) {
      for (const failure of FAILURES) {
        const name = `${row.control}-${failure}`;
        guests.set(at.addGuest({ name, ...DEVICES }), { row, failure });
      }
    }
    const before = at.values();
    const views = [...guests.keys()].map((uuid) => at.libvirt.tuning(uuid));
    at.setClass(CLASS);
    await at.boot();
    await at.cycles(CYCLES);
    check(0);
    faulty = false;
    at.elapsedMs += MENDED_MS;
    await at.cycles(3);
    for (const uuid of guests.keys()) assert.deepEqual(wrongOf(at, uuid), {});
    for (const uuid of guests.keys())
      for (const one of at.snapshot(uuid).controls) assert.doesNotMatch(one.notes.join(), /behind/);

    faulty = true;
    made = [];
    const log = at.core.log.length;
    at.setClass(OTHER_CLASS);
    await at.reload();
    await at.cycles(FEW_CYCLES);
    check(log);
    faulty = false;
    at.elapsedMs += MENDED_MS;
    await at.cycles(3);
    for (const uuid of guests.keys()) assert.deepEqual(wrongOf(at, uuid), {});

    faulty = true;
    made = [];
    const { outcomes } = await at.core.operator.release({ all: true });
    await at.cycles(4);
    for (const [uuid, { row, failure }] of guests) {
      const outcome = outcomes.find((one) => one.uuid === uuid && one.control === row.control);
      if (!row.told) assert.notEqual(outcome?.outcome, 'applied', `${row.control} ${failure}`);
      assert.notEqual(
        at.core.parts.journal.get(uuid, row.control),
        null,
        `${row.control} ${failure}: its original stays on record`,
      );
    }
    faulty = false;
    at.elapsedMs += MENDED_MS;
    await at.cycles(3);
    assert.deepEqual(freed(at.values()), freed(before));
    assert.deepEqual([...at.core.parts.journal.uuids()], []);
    [...guests.keys()].forEach((uuid, index) => {
      assert.deepEqual(at.libvirt.tuning(uuid).disks, views[index]?.disks);
      assert.deepEqual(at.libvirt.tuning(uuid).interfaces, views[index]?.interfaces);
    });
  });

  test('a guest of which every call hangs', async () => {
    const stuck = at.addGuest({ name: 'stuck', ...DEVICES });
    const before = at.values();
    at.setClass(CLASS);
    await at.boot();
    await at.settle();
    assert.deepEqual(wrongOf(at, stuck), {});
    at.libvirt.hang(stuck);
    at.setClass(OTHER_CLASS);
    await at.reload();
    await at.cycles(CYCLES);
    assert.deepEqual(wrongOf(at, well), {});
    // What the kernel takes from us holds, what QEMU or libvirt would have to set does not, and says so.
    const statuses = at.statuses(stuck);
    for (const id of ['cpu.limit', 'cpu.pin', 'memory.limit', 'memory.high']) assert.equal(statuses[id], 'holds', id);
    for (const id of ['cpu.weight', 'disk.weight', 'network.limit']) {
      assert.match(statuses[id] ?? '', /^failed: (?:an earlier call|libvirt has not answered)/, id);
    }
    assert.match(statuses['disk.limit'] ?? '', /^(?:failed|pending): /);
    const asked = at.libvirt.calls.filter(({ uuid }) => uuid === stuck).length;
    await at.cycles(CYCLES);
    assert.equal(at.libvirt.calls.filter(({ uuid }) => uuid === stuck).length, asked, 'libvirt is left alone about it');
    at.libvirt.recover(stuck);
    await at.cycles(2);
    assert.deepEqual(wrongOf(at, stuck), {});
    await at.core.operator.release({ all: true });
    await at.settle();
    assert.deepEqual(freed(at.values()), freed(before));
  });

  test('no connection at all', async () => {
    at.setClass(CLASS);
    const core = await at.boot();
    await at.settle();
    at.libvirt.disconnect('killed');
    at.setClass(OTHER_CLASS);
    await at.reload();
    const calls = at.libvirt.calls.length;
    const log = core.log.length;
    await at.cycles(CYCLES);
    const statuses = at.statuses(well);
    for (const id of ['cpu.limit', 'cpu.pin', 'memory.limit', 'memory.high']) assert.equal(statuses[id], 'holds', id);
    for (const id of ['cpu.weight', 'disk.limit', 'disk.weight', 'network.limit']) {
      assert.match(statuses[id] ?? '', /^failed: no connection to libvirt/, id);
    }
    assert.equal(at.libvirt.calls.length, calls);
    assert.deepEqual(
      core.log.slice(log).filter(({ level }) => level !== 'debug'),
      [],
      'said once, by the event',
    );
    at.libvirt.reconnect();
    await at.settle();
    // QEMU's throttles are asked for again with the next cycle.
    assert.deepEqual(wrongOf(at, well, ['disk.limit']), {}, 'at once');
    await at.cycles(1);
    assert.deepEqual(wrongOf(at, well), {});
  });
});

const ANSWERS: readonly Answer[] = ['absent', 'vanished', 'timeout', 'refused', 'late', 'deaf'];

describe('what systemd answers', () => {
  let at: EmulatedBench;
  let faulty = true;
  afterEach(() => at.remove());

  const answerBy = (units: ReadonlyMap<string, Answer>) => (unit: string) =>
    faulty ? (units.get(unit) ?? 'ok') : 'ok';

  test('about the scope around a guarantee, and about the guests of a flat layout', async () => {
    for (const layout of ['v2-nested', 'v2-flat'] as const) {
      faulty = true;
      at = new EmulatedBench(layout);
      const well = at.addGuest({ name: 'well' });
      const guests = new Map(ANSWERS.map((answer) => [at.addGuest({ name: answer }), answer]));
      at.systemd.answer = answerBy(
        new Map([...guests].map(([uuid, answer]) => [basename(at.directory(uuid, 'memory', 'scope')), answer])),
      );
      const before = at.values();
      const classOf = (mib: number) => `cpu: { limit: 50% }\nmemory: { guarantee: ${mib}MiB }`;
      at.setClass(classOf(512));
      const core = await at.boot();
      await at.cycles(CYCLES);
      assert.deepEqual(wrongOf(at, well), {});
      for (const [uuid, answer] of guests) {
        const said = at.control(uuid, 'memory.guarantee');
        const words = `${layout}, ${answer}: ${said?.status}: ${said?.reason}`;
        assert.deepEqual(wrongOf(at, uuid, ['memory.guarantee']), {}, words);
        // It does one thing after the other: what it was late with is done by now.
        const expected = { vanished: 'pending', late: 'holds' }[answer as string] ?? 'failed';
        assert.equal(said?.status, expected, words);
        const unit = basename(at.directory(uuid, 'memory', 'scope'));
        const calls = at.systemd.calls.filter((call) => call.unit === unit).length;
        assert.ok(calls >= 1 && calls <= (answer === 'absent' ? CYCLES + 2 : CALLS_MOST), `${words}: ${calls} calls`);
        const lines = core.log.filter(({ event, fields }) => /fail/.test(event) && fields.uuid === uuid).length;
        assert.ok(lines <= 2 * CALLS_MOST, `${words}: ${lines} lines`);
      }
      // One that got no answer: what systemd does of it in the end must not outlive a release.
      await core.operator.release({ all: true });
      at.systemd.catchUp();
      faulty = false;
      at.elapsedMs += MENDED_MS;
      await at.cycles(3);
      assert.deepEqual(freed(at.values()), freed(before), layout);
      assert.deepEqual([...core.parts.journal.uuids()], []);
      await core.operator.resume({ all: true });
      await at.settle();
      for (const uuid of guests.keys()) assert.deepEqual(wrongOf(at, uuid), {});
      if (layout === 'v2-nested') await at.remove();
    }
  });
});
