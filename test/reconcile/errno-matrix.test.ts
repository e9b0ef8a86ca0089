/**
 * Errno × control × operation: every file that a control writes, on each layout, refuses with each errno, when it is read
 * or when it is written. The guest's other controls and the other guests converge, the failure is said and stays said,
 * nothing is tried in a loop, what stood there before is on record as it was, and all is well once the fault is over.
 * A host has a guest for each errno, on which several controls fail at once, each with another one, and others do not.
 */
import assert from 'node:assert/strict';
import { basename, dirname } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { CONTROLS } from '../../src/controls/registry.js';
import type { Controller } from '../../src/domains/types.js';
import { kernelFiles } from '../../src/host/cgroup/files.js';
import { unlimitedOnV1 } from '../../src/host/cgroup/memory-files.js';
import { planOf } from '../../src/reconcile/cycle.js';
import type { LayoutName } from '../fixtures/host-tree.js';
import { EmulatedBench } from './emulated-bench.js';

const ERRNOS = [
  ...['ENOENT', 'ENODEV', 'EINVAL', 'EBUSY', 'EACCES', 'EPERM', 'EROFS', 'EAGAIN'],
  ...['ENOSPC', 'ENOTSUP', 'ERANGE', 'ESRCH', 'EIO', 'EMFILE'],
] as const;
const OPERATIONS = ['write', 'read'] as const;
type Operation = (typeof OPERATIONS)[number];

const CLASS = `
  cpu: { guarantee: 40%, limit: 50%, burst: 20ms, pin: "0-3" }
  memory: { guarantee: 512MiB, limit: 2GiB, high: 1536MiB, swap: 256MiB, merge: true }
  disk: { weight: 400, via: cgroup, limit: { read: 10MiB/s, write: 20MiB/s, read-iops: 100, write-iops: 200 } }`;
/** Every value is another. */
const OTHER_CLASS = `
  cpu: { guarantee: 20%, limit: 30%, burst: 10ms, pin: "0-5" }
  memory: { guarantee: 256MiB, limit: 3GiB, high: 2560MiB, swap: 512MiB, merge: true }
  disk: { weight: 300, via: cgroup, limit: { read: 11MiB/s, write: 21MiB/s, read-iops: 101, write-iops: 201 } }`;

/** What cannot be while another control of the guest does not hold: memory and swap together bound memory on v1. */
const DEPENDENT: Readonly<Record<string, readonly string[]>> = {
  'v1 memory.limit': ['memory.swap'],
  'v1 memory.swap': ['memory.limit'],
};
const CYCLES = 20;
const FEW_CYCLES = 4;
/** 5 s, doubling: at 0, 5, 15, 35 and 75 of 100 seconds, and one for another text, as of a limit that follows another. */
const ATTEMPTS_MOST = 6;
/** Of these, how often a file is tried in four cycles. */
const ATTEMPTS_AT_FIRST = 4;
const NO_IO_LIMIT = 'rbps=max wbps=max riops=max wiops=max';
const UNLIMITED_V1 = unlimitedOnV1();
const MENDED_MS = 11 * 60_000;

const unhandled: unknown[] = [];
const note = (error: unknown): void => void unhandled.push(error);
before(() => void process.on('unhandledRejection', note));
after(() => void process.off('unhandledRejection', note));

/** One control; where its value is several files, one guest meets one of them and the next the next. */
interface Target {
  readonly control: string;
  readonly files: readonly TargetFile[];
}

interface TargetFile {
  /** Below the group of the guest in the controller's tree. */
  readonly file: string;
  /** Of that tree. */
  readonly controller: Controller;
}

const controllerOf = (file: string): Controller =>
  /^(?:blkio|io)\./.test(basename(file))
    ? 'io'
    : ((['cpuset', 'memory'] as const).find((one) => basename(file).startsWith(`${one}.`)) ?? 'cpu');

/** The kernel's files of all settings that are written directly, of the first vCPU only; to write, those that the class changes. */
async function targetsOn(layout: LayoutName): Promise<Readonly<Record<Operation, readonly Target[]>>> {
  const bench = new EmulatedBench(layout);
  const uuid = bench.addGuest({ name: 'probe', vcpus: 2, disks: [{ target: 'vda' }] });
  bench.setClass(CLASS);
  await bench.boot();
  await bench.settle();
  const written = new Set(bench.kernel.writes.map(({ path }) => path));
  const plan = planOf(bench.core.parts, uuid) ?? assert.fail('no plan');
  const targets = (isMet: (path: string) => boolean): Target[] =>
    plan.controls.flatMap(({ control, states }) => {
      const files = states
        .filter(({ setting: { writer, key } }) => writer === 'direct' && !key.startsWith('vcpu1/'))
        .flatMap(({ setting: { path } }) => {
          const { version } = bench.kernel.group(dirname(path)).mount;
          return kernelFiles(basename(path), version).map((name) => `${dirname(path)}/${name}`);
        })
        .filter(isMet)
        .map((path): TargetFile => {
          const controller = controllerOf(path);
          return { file: path.slice(bench.directory(uuid, controller).length + 1), controller };
        });
      return files.length === 0 ? [] : [{ control: control.id, files }];
    });
  const found = { read: targets(() => true), write: targets((path) => written.has(path)) };
  await bench.remove();
  return found;
}

class Matrix {
  readonly bench: EmulatedBench;
  readonly targets: readonly Target[];
  readonly operation: Operation;
  readonly well: string;
  /** One for each errno. */
  readonly uuids: readonly string[];
  readonly before: ReadonlyMap<string, string>;
  #ends: (() => void)[] = [];

  constructor(layout: LayoutName, targets: readonly Target[], operation: Operation) {
    this.bench = new EmulatedBench(layout);
    this.targets = targets;
    this.operation = operation;
    const options = { vcpus: 2, disks: [{ target: 'vda' }] };
    this.well = this.bench.addGuest({ name: 'well', ...options });
    this.uuids = ERRNOS.map((errno) => this.bench.addGuest({ name: errno, ...options }));
    this.before = this.bench.values();
  }

  get all(): readonly string[] {
    return [this.well, ...this.uuids];
  }

  path(uuid: string, { files }: Target): string {
    const { controller, file } = files[this.uuids.indexOf(uuid) % files.length] ?? assert.fail('no file');
    return `${this.bench.directory(uuid, controller)}/${file}`;
  }

  /** Every guest meets every target with an errno of its own. */
  begin(): void {
    this.uuids.forEach((uuid, guest) => {
      this.targets.forEach((target, index) => {
        const file = new RegExp(`^${this.path(uuid, target).replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')}$`);
        const errno = ERRNOS[(guest + index) % ERRNOS.length] ?? 'EIO';
        this.#ends.push(this.bench.kernel.fault({ file, operation: this.operation, errno }));
      });
    });
  }

  end(): void {
    for (const end of this.#ends.splice(0)) end();
  }

  since(): Since {
    return { writes: this.bench.kernel.writes.length, log: this.bench.core.log.length };
  }

  /** All that has to be so while the faults last. */
  check(since: Since, attemptsMost: number): void {
    const { bench, targets } = this;
    assert.deepEqual(wrongOf(bench, this.well, []), {}, 'the other guest converges');
    const failing = targets.flatMap(({ control }) => [control, ...(DEPENDENT[`${bench.layout} ${control}`] ?? [])]);
    for (const uuid of this.uuids) {
      assert.deepEqual(wrongOf(bench, uuid, failing), {}, `${bench.snapshot(uuid).name}: its other controls hold`);
      for (const target of targets) this.#checkTarget(uuid, target, since, attemptsMost);
    }
    const { counters } = bench.core.parts;
    assert.equal(counters.cycleFailures, 0);
    const others = bench.core.log.filter(({ event }) => /_failed$/.test(event) && event !== 'control.write_failed');
    assert.deepEqual(others, []);
    if (this.operation === 'read') return;
    for (const { control } of targets) assert.ok((counters.applyFailures[control] ?? 0) >= ERRNOS.length);
  }

  #checkTarget(uuid: string, target: Target, since: Since, attemptsMost: number): void {
    const { bench, operation } = this;
    const { control } = target;
    const said = bench.control(uuid, control);
    const told = `${bench.snapshot(uuid).name}, ${operation} of ${basename(this.path(uuid, target))}: ${control} is ${said?.status}: ${said?.reason}`;
    assert.notEqual(said?.reason ?? null, null, told);
    const path = this.path(uuid, target);
    const writes = bench.kernel.writes.slice(since.writes).filter((write) => write.path === path).length;
    if (operation === 'read') {
      assert.equal(said?.status, 'pending', told);
      // One that was under way may have been taken, and could not be read back.
      assert.equal(writes, 0, told);
      return;
    }
    assert.equal(said?.status, 'failed', told);
    const attempts = bench.core.log
      .slice(since.log)
      .filter(
        ({ event, fields }) => event === 'control.write_failed' && fields.uuid === uuid && fields.control === control,
      );
    assert.ok(attempts.length >= 1 && attempts.length <= attemptsMost, `${told}: ${attempts.length} attempts`);
    assert.ok(attempts.every(({ level, fields }) => level === 'error' && fields.reason !== null));
    assert.ok(writes <= attempts.length, `${told}: ${writes} writes`);
  }

  checkAllHold(): void {
    for (const uuid of this.all) assert.deepEqual(wrongOf(this.bench, uuid, []), {});
  }

  /** What is on record is what stood there before the first daemon. */
  checkOriginals(): void {
    const { bench, before } = this;
    const { parts } = bench.core;
    for (const uuid of this.all) {
      const domain = parts.inventory.get(uuid) ?? assert.fail('gone');
      for (const { settings, control } of parts.journal.of(uuid)) {
        for (const [key, { original }] of Object.entries(settings)) {
          const path = CONTROLS.find(({ id }) => id === control)?.place?.(key, domain)?.path ?? '';
          const { version } = bench.kernel.group(dirname(path)).mount;
          const texts = kernelFiles(basename(path), version).map((name) => before.get(`${dirname(path)}/${name}`));
          const plain = texts.map((text) =>
            text?.replace(UNLIMITED_V1, 'max').replace(/^-1$/, 'max').replace('default ', ''),
          );
          const expected = key.startsWith('io.max/') ? NO_IO_LIMIT : plain.join(' ');
          assert.equal(original.text, expected, `${domain.name} ${key}`);
        }
      }
    }
  }
}

interface Since {
  readonly writes: number;
  readonly log: number;
}

function wrongOf(bench: EmulatedBench, uuid: string, left: readonly string[]): Record<string, string> {
  const fine = /^(?:holds|unsupported: (?:cgroup v1|this kernel|on cgroup v1))/;
  const wrong = Object.entries(bench.statuses(uuid)).filter(([id, status]) => !left.includes(id) && !fine.test(status));
  return Object.fromEntries(wrong);
}

async function runMatrix(layout: LayoutName, targets: readonly Target[], operation: Operation): Promise<void> {
  const matrix = new Matrix(layout, targets, operation);
  const { bench } = matrix;
  try {
    // From the start: no value of ours has ever stood there.
    bench.setClass(CLASS);
    matrix.begin();
    await bench.boot();
    await bench.cycles(CYCLES);
    matrix.check({ writes: 0, log: 0 }, ATTEMPTS_MOST);
    matrix.end();
    bench.elapsedMs += MENDED_MS;
    await bench.cycles(3);
    matrix.checkAllHold();
    matrix.checkOriginals();

    // After an edit of the policy, with a restart in the middle.
    matrix.begin();
    bench.setClass(OTHER_CLASS);
    let since = matrix.since();
    await bench.reload();
    await bench.cycles(FEW_CYCLES);
    matrix.check(since, ATTEMPTS_AT_FIRST);
    since = { ...matrix.since(), log: 0 };
    await bench.boot();
    await bench.cycles(FEW_CYCLES);
    matrix.check(since, ATTEMPTS_AT_FIRST);
    matrix.checkOriginals();

    // And a release that cannot be carried out at once.
    since = matrix.since();
    const { outcomes } = await bench.core.operator.release({ all: true });
    for (const { control } of operation === 'write' ? targets : []) {
      const failed = outcomes.filter((one) => one.outcome === 'failed' && one.control === control);
      assert.deepEqual(
        failed.map(({ domain }) => domain).sort(),
        [...ERRNOS].sort(),
        `${control}: who was not released is said`,
      );
    }
    await bench.cycles(FEW_CYCLES);
    for (const uuid of matrix.uuids) {
      for (const target of targets) {
        const writes = bench.kernel.writes.slice(since.writes).filter(({ path }) => path === matrix.path(uuid, target));
        assert.ok(writes.length <= ATTEMPTS_AT_FIRST, `${target.control}: ${writes.length} writes`);
        assert.notEqual(bench.core.parts.journal.get(uuid, target.control), null, 'its original stays on record');
      }
    }
    matrix.end();
    bench.elapsedMs += MENDED_MS;
    await bench.cycles(3);
    assert.deepEqual(freed(bench.values()), freed(matrix.before));
    assert.deepEqual([...bench.core.parts.journal.uuids()], []);
    assert.deepEqual(unhandled, []);
  } finally {
    await bench.remove();
  }
}

/** A pin cannot be taken off a group that has threads in it: all CPUs are the same. */
function freed(values: ReadonlyMap<string, string>): Record<string, string> {
  const text = (path: string, value: string) => (path.endsWith('cpuset.cpus') ? value || '0-7' : value);
  return Object.fromEntries([...values].map(([path, value]) => [path, text(path, value)]));
}

/** Half of the controls fail together, and never two that depend on each other. */
function groupsOf(layout: LayoutName, targets: readonly Target[]): Target[][] {
  const groups: [Target[], Target[]] = [[], []];
  for (const target of targets) {
    const rivals = DEPENDENT[`${layout} ${target.control}`] ?? [];
    const free = groups.filter((group) => !group.some(({ control }) => rivals.includes(control)));
    (free.toSorted((a, b) => a.length - b.length)[0] ?? groups[0]).push(target);
  }
  return groups.filter((group) => group.length > 0);
}

/** Those that libvirt, QEMU and systemd set, and the one that sets nothing: outcomes-matrix.test.ts. */
const WITHOUT_FILES = ['disk.histogram', 'memory.merge', 'network.limit', 'svirt.label'];
const met = new Set<string>();

/** Weights are written directly only where systemd owns no scope; all else on v2 is the same there. */
for (const [layout, only] of [
  ['v1', null],
  ['v2-nested', null],
  ['v2-no-systemd', ['cpu.weight', 'disk.weight']],
] as const) {
  const found = await targetsOn(layout);
  describe(`errno of files on ${layout}`, () => {
    for (const operation of OPERATIONS) {
      const targets = found[operation].filter(({ control }) => only?.some((one) => one === control) ?? true);
      for (const { control } of targets) met.add(`${control} ${operation}`);
      for (const group of only === null ? groupsOf(layout, targets) : [targets]) {
        const name = `${operation}: ${group.map(({ control }) => control).join(', ')}`;
        test(name, () => runMatrix(layout, group, operation));
      }
    }
  });
}

test('no control is left out', () => {
  const all = CONTROLS.filter(({ id, built }) => built && !WITHOUT_FILES.includes(id));
  const wanted = all.flatMap(({ id }) => OPERATIONS.map((operation) => `${id} ${operation}`));
  assert.deepEqual([...met].sort(), wanted.sort());
});

describe('errno of opening a group', () => {
  const OPENING = ['EMFILE', 'ENFILE', 'ENOMEM', 'EACCES', 'EPERM', 'EIO'] as const;
  const CLASSES = { gold: ['*', CLASS] } as const;
  type Where = readonly [controller: Controller, below: string];

  for (const layout of ['v1', 'v2-nested'] as const) {
    const places: readonly Where[] =
      layout === 'v1'
        ? [
            ['cpu', ''],
            ['cpu', '/vcpu0'],
            ['memory', ''],
            ['io', ''],
            ['cpuset', '/vcpu1'],
          ]
        : [
            ['cpu', ''],
            ['cpu', '/vcpu0'],
          ];
    test(layout, async () => {
      const bench = new EmulatedBench(layout);
      try {
        const options = { vcpus: 2, disks: [{ target: 'vda' }] };
        const well = bench.addGuest({ name: 'well', ...options });
        const guests = OPENING.flatMap((errno) =>
          places.map(([controller, below]) => {
            const name = `${errno}-${controller}${below.slice(1)}`;
            const uuid = bench.addGuest({ name, ...options });
            return { uuid, name, errno, directory: `${bench.directory(uuid, controller)}${below}` };
          }),
        );
        const before = bench.values();
        const ends = guests.map(({ errno, directory }) => {
          const file = new RegExp(`^${directory.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')}$`);
          return bench.kernel.fault({ file, operation: 'open', errno });
        });
        bench.setClasses(CLASSES);
        await bench.boot();
        await bench.cycles(FEW_CYCLES);
        assert.deepEqual(wrongOf(bench, well, []), {});
        for (const { uuid, name, directory } of guests) {
          const { obstacle, compliant } = bench.snapshot(uuid);
          const wrong = Object.values(wrongOf(bench, uuid, []));
          assert.equal(compliant, false, name);
          assert.ok(
            obstacle !== null || wrong.every((status) => status.startsWith('pending: ')),
            `${name}: ${wrong.join()}`,
          );
          assert.deepEqual(
            bench.kernel.writes.filter(({ path }) => dirname(path) === directory),
            [],
            name,
          );
        }
        assert.equal(bench.core.parts.counters.cycleFailures, 0);
        assert.deepEqual(
          bench.core.log.filter(({ level }) => level === 'error'),
          [],
        );
        for (const end of ends) end();
        await bench.cycles(2);
        for (const { uuid } of guests) assert.deepEqual(wrongOf(bench, uuid, []), {});
        await bench.core.operator.release({ all: true });
        await bench.settle();
        assert.deepEqual(freed(bench.values()), freed(before));
        assert.deepEqual(unhandled, []);
      } finally {
        await bench.remove();
      }
    });
  }
});
