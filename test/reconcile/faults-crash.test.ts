/**
 * A daemon that dies at any moment of setting what others set for it: at every await of the journal and of libvirt or
 * systemd, before the call and after it, before the daemon knows what came of it. The next daemon, with the state that
 * was on disk, ends where it was asked to, and what stood there before is given back.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { CgroupFiles } from '../../src/host/cgroup/kernel-files.js';
import type { LayoutName } from '../fixtures/host-tree.js';
import { type Core, EmulatedBench } from './emulated-bench.js';

/** What failed before is tried again by then. */
const MENDED_MS = 11 * 60_000;
const NEVER = new Promise<never>(() => undefined);

/** Counts the moments at which a daemon waits for somebody, and ends it at one of them. */
class Mortal {
  readonly #diesAt: number;
  readonly death: Promise<'died'>;
  moments = 0;
  #die: () => void = () => undefined;

  constructor(diesAt: number) {
    this.#diesAt = diesAt;
    this.death = new Promise((resolve) => {
      this.#die = () => resolve('died');
    });
  }

  get dead(): boolean {
    return this.moments >= this.#diesAt;
  }

  /** Put around all that the daemon's deeds go through. */
  inhabit(bench: EmulatedBench): void {
    bench.wrapLibvirt = (client) => this.#around(client, ['list', 'facts', 'tune', 'disks', 'setOriginals']);
    bench.wrapSystemd = (systemd) => this.#around(systemd, ['set']);
    bench.wrapKernel = (files) => ({
      ...bound(files),
      write: (fd, text) => {
        if (!this.dead) files.write(fd, text);
      },
    });
  }

  /** What is saved, is saved whole: a rename. */
  remember({ parts: { journal } }: Core): void {
    const put = journal.put.bind(journal);
    const remove = journal.remove.bind(journal);
    journal.put = (records) => this.#live(() => put(records));
    journal.remove = (keys) => this.#live(() => remove(keys));
  }

  #around<T extends object>(target: T, names: readonly string[]): T {
    return new Proxy(target, {
      get: (_, name) => {
        const member: unknown = Reflect.get(target, name, target);
        if (typeof member !== 'function') return member;
        const call = (...args: unknown[]): unknown => member.apply(target, args);
        return names.includes(String(name)) ? (...args: unknown[]) => this.#live(async () => call(...args)) : call;
      },
    });
  }

  async #live<R>(call: () => Promise<R>): Promise<R> {
    await this.#moment();
    const result = await call();
    await this.#moment();
    return result;
  }

  /** Resolves, or never. */
  async #moment(): Promise<void> {
    if (!this.dead) this.moments++;
    if (!this.dead) return;
    this.#die();
    await NEVER;
  }
}

function bound(files: CgroupFiles): CgroupFiles {
  const call =
    <A extends unknown[], R>(method: (...args: A) => R) =>
    (...args: A): R =>
      method.apply(files, args);
  return {
    openDirectory: call(files.openDirectory),
    inodeOf: call(files.inodeOf),
    openFile: call(files.openFile),
    read: call(files.read),
    readAll: call(files.readAll),
    write: call(files.write),
    has: call(files.has),
    list: call(files.list),
    close: call(files.close),
  };
}

const THEIRS = { fields: { total_iops_sec: 900 }, group: null };
const GUEST = {
  name: 'db-1',
  vcpus: 2,
  cputune: { shares: 300, vcpuQuotaUsec: 80_000 },
  disks: [{ target: 'vda', throttle: THEIRS }],
  interfaces: [{ mac: '52:54:00:00:00:01', inbound: { averageKbytes: 77 } }],
};
const CLASSES = {
  'disk.limit': ['disk: { limit: { iops: 500 } }', 'disk: { limit: { iops: 600 } }'],
  'network.limit': ['network: { limit: { in: 10Mbit/s, out: 5Mbit/s } }', 'network: { limit: { in: 20Mbit/s } }'],
  'memory.guarantee': ['memory: { guarantee: 512MiB }', 'memory: { guarantee: 256MiB, hard: true }'],
  several: [
    'cpu: { limit: 50%, weight: 150 }\nmemory: { limit: 2GiB, swap: 0 }\ndisk: { limit: { iops: 500 } }',
    'cpu: { limit: 40% }\nmemory: { limit: 3GiB }\ndisk: { via: cgroup, limit: { read: 1MiB/s } }',
  ],
} as const;

type Deed = 'set' | 'change' | 'leave' | 'release';

/** `step`: of so many moments, one is tried. */
const LIVES: readonly {
  readonly layout: LayoutName;
  readonly what: keyof typeof CLASSES;
  readonly deeds: readonly Deed[];
  readonly step: number;
}[] = [
  { layout: 'v2-nested', what: 'disk.limit', deeds: ['set', 'leave'], step: 1 },
  { layout: 'v2-nested', what: 'disk.limit', deeds: ['change', 'release'], step: 2 },
  { layout: 'v2-nested', what: 'network.limit', deeds: ['change', 'leave'], step: 2 },
  { layout: 'v2-nested', what: 'memory.guarantee', deeds: ['set', 'leave'], step: 4 },
  { layout: 'v1', what: 'several', deeds: ['set', 'change', 'release'], step: 4 },
  { layout: 'v2-flat', what: 'several', deeds: ['change'], step: 8 },
];

/** Lives up to a moment, dies, and another takes over. @returns false when the daemon came through alive */
async function liveAndDie(layout: LayoutName, what: keyof typeof CLASSES, deed: Deed, diesAt: number) {
  const bench = new EmulatedBench(layout);
  try {
    const uuid = bench.addGuest(GUEST);
    const before = { values: bench.values(), tuning: bench.libvirt.tuning(uuid) };
    const [first, second] = CLASSES[what];
    if (deed !== 'set') {
      bench.setClass(first);
      await bench.boot();
      await bench.settle();
      await bench.kill();
    }
    bench.setClass({ set: first, change: second, leave: null, release: first }[deed]);

    const mortal = new Mortal(diesAt);
    mortal.inhabit(bench);
    const life = live(bench, mortal, deed).then(() => 'lived' as const);
    const died = (await Promise.race([life, mortal.death])) === 'died';
    new Mortal(Number.POSITIVE_INFINITY).inhabit(bench);

    await bench.boot();
    if (deed === 'release') await bench.core.operator.release({ all: true });
    await bench.settle();
    bench.elapsedMs += MENDED_MS;
    await bench.cycles(3);
    const said = `${deed}, died at moment ${diesAt}`;
    if (deed === 'set' || deed === 'change') {
      const wrong = Object.entries(bench.statuses(uuid)).filter(([, status]) => status !== 'holds');
      assert.deepEqual(wrong, [], said);
    }
    await bench.core.operator.release({ all: true });
    await bench.settle();
    assert.deepEqual(Object.fromEntries(bench.values()), Object.fromEntries(before.values), said);
    const { disks, interfaces } = bench.libvirt.tuning(uuid);
    assert.deepEqual({ disks, interfaces }, { disks: before.tuning.disks, interfaces: before.tuning.interfaces }, said);
    assert.deepEqual([...bench.core.parts.journal.uuids()], [], said);
    const { driftRepairs } = bench.core.parts.counters;
    assert.deepEqual(driftRepairs, { libvirt: 0, systemd: 0, unknown: 0 }, `${said}: our own is no drift`);
    return died;
  } finally {
    await bench.remove();
  }
}

/** What the daemon does from its start until it has done what it was asked; it may end nowhere. */
async function live(bench: EmulatedBench, mortal: Mortal, deed: Deed): Promise<void> {
  const core = await bench.boot((booted) => mortal.remember(booted));
  if (deed === 'release') await core.operator.release({ all: true });
  await bench.settle();
}

describe('a daemon that dies', { concurrency: 4 }, () => {
  // What the dead still wait for would keep the process for as long as it lasts.
  const { setTimeout: timer } = globalThis;
  const alive = setInterval(() => undefined, 1_000);
  before(() => {
    const unref = (...args: Parameters<typeof timer>) => timer(...args).unref();
    globalThis.setTimeout = Object.assign(unref, timer);
  });
  after(() => {
    globalThis.setTimeout = timer;
    clearInterval(alive);
  });

  for (const { layout, what, deeds, step } of LIVES) {
    for (const deed of deeds) {
      test(`at any moment of ${deed}: ${what} on ${layout}`, async () => {
        let diesAt = 1;
        while (await liveAndDie(layout, what, deed, diesAt)) diesAt += step;
        assert.ok(diesAt > 20, `only ${diesAt} moments`);
      });
    }
  }
});
