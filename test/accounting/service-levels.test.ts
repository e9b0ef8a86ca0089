/** Guests looked at cycle by cycle: what is judged goes into their budgets, and nothing that nobody can know. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { ServiceLevels } from '../../src/accounting/service-levels.js';
import { NO_SIGNALS } from '../../src/domains/accounts.js';
import type { Inventory } from '../../src/domains/inventory.js';
import type { Domain, DomainState } from '../../src/domains/types.js';
import { SloStore } from '../../src/host/slo-store/store.js';
import { effectiveClass } from '../../src/policy/effective.js';
import { assign } from '../../src/policy/match.js';
import type { Generation } from '../../src/policy/types.js';
import type { CpuSlice } from '../../src/slo/types.js';
import type { DomainSnapshot } from '../../src/snapshot/types.js';
import { fixtureDomain, fixtureLimit, fixtureUuid } from '../fixtures/snapshot.js';
import { quietLog } from '../http/fixture-server.js';
import { generationOf } from '../policy/compiled.js';
import { someCpu } from '../slo/some-slices.js';

const START_MS = Date.UTC(2026, 0, 15, 12);
const POLICY = `version: 1
classes:
  gold:
    cpu: { guarantee: 50% }
    memory: { guarantee: 50% }
    objectives:
      - { sli: cpu.delivered, at-least: 95%, of: 99%, window: 30d }
      - { sli: available, of: 99%, window: 30d }
      - { sli: memory.delivered, at-least: 95%, of: 99%, window: 30d }
  plain: { cpu: { limit: 50% } }
assignments:
  - { class: gold, match: { name: "db-*" } }
  - { class: plain, match: { any: true } }
`;
const MAINTENANCE = `maintenance:
  - { name: updates, cron: "0 12 * * *", for: 1h, slis: [available] }
`;
const SHORT = someCpu({
  usedSeconds: 1,
  waitSeconds: 4,
  activeSeconds: 5,
  demandedSeconds: 5,
  entitledSeconds: 2.5,
  shortfallSeconds: 1.5,
});
const ENOUGH = someCpu({ usedSeconds: 2.5, activeSeconds: 2.5, demandedSeconds: 2.5, entitledSeconds: 2.5 });

class Host {
  nowMs = START_MS;
  monotonicMs = 1000;
  generation: Generation = generationOf(POLICY);
  cpu: CpuSlice | null = null;
  state: DomainState = 'running';
  startTicks = 7n;
  picture: Partial<DomainSnapshot> = {};
  present = true;
  /** Beside it, a guest in whose class we have a defect. */
  broken = false;
  failures = 0;
  readonly said: string[];
  readonly levels: ServiceLevels;
  readonly name: string;

  constructor(store: SloStore | null, name = 'db-1') {
    this.name = name;
    const clock = { nowMs: () => this.nowMs, monotonicMs: () => this.monotonicMs };
    const { log, lines } = quietLog();
    this.said = lines;
    this.levels = new ServiceLevels({
      clock,
      store,
      defects: { log, count: () => this.failures++ },
      inventory: { all: () => this.domains() } as unknown as Inventory,
      accounts: { of: () => NO_SIGNALS, cpuSlice: () => this.cpu },
      picture: () => this.snapshot(),
      generation: () => this.generation,
      classOf: (domain) => {
        if (this.broken && domain.uuid === fixtureUuid(2)) throw new Error('no such class');
        const assignment = domain.facts === null ? null : assign(this.generation, domain.facts);
        return assignment === null ? null : effectiveClass(this.generation, assignment, this.nowMs);
      },
    });
  }

  domains(): Domain[] {
    if (!this.present) return [];
    return [this.domain(2, 'db-2'), this.domain()];
  }

  domain(number = 1, name = this.name): Domain {
    const attributes = { uuid: fixtureUuid(number), name, title: '', description: '', metadata: [] };
    const process = this.state === 'running' ? { pid: 10, startTicks: this.startTicks } : null;
    return { ...attributes, state: this.state, process, facts: attributes, vcpuGroups: [0] } as unknown as Domain;
  }

  snapshot(): DomainSnapshot {
    return fixtureDomain(1, { name: this.name, className: 'gold', guaranteedCores: 0.5, ...this.picture });
  }

  /** Cycles of five seconds, with a reading of the CPU each. */
  async cycles(count: number, cpu: CpuSlice | null = null): Promise<void> {
    for (let index = 0; index < count; index++) {
      this.nowMs += 5000;
      this.monotonicMs += 5000;
      this.cpu = cpu === null ? null : { ...cpu };
      await this.levels.account();
    }
  }

  totals(sli: string, number = 1) {
    return this.levels.stateOf(fixtureUuid(number)).find((one) => one.sli === sli)?.counters;
  }
}

let host: Host;
beforeEach(() => {
  host = new Host(null);
});

describe('a guest with objectives', () => {
  test('is judged from its second look on, each objective by its own SLI', async () => {
    await host.cycles(1, ENOUGH);
    assert.deepEqual(host.totals('cpu.delivered'), { good: 0, bad: 0, unknown: 0, excluded: 0 });
    await host.cycles(10, ENOUGH);
    await host.cycles(2, SHORT);
    assert.deepEqual(host.totals('cpu.delivered'), { good: 50, bad: 10, unknown: 0, excluded: 0 });
    assert.deepEqual(host.totals('available'), { good: 60, bad: 0, unknown: 0, excluded: 0 });
    const [state] = host.levels.stateOf(fixtureUuid(1));
    // A tenth of an hundredth part is allowed: 10 of 60 s is far over.
    assert.ok((state?.remainingRatio ?? 1) < -10);
    const [ofClass] = host.levels.snapshot().classes;
    assert.deepEqual([ofClass?.className, ofClass?.guests, ofClass?.totals.bad], ['gold', 2, 20]);
  });

  test('is unknown where the host cannot say, or cannot give what is promised', async () => {
    await host.cycles(3);
    assert.deepEqual(host.totals('cpu.delivered'), { good: 0, bad: 0, unknown: 10, excluded: 0 });
    assert.deepEqual(host.totals('memory.delivered'), { good: 0, bad: 0, unknown: 10, excluded: 0 });
  });

  test('is unknown over a restart, and never short for it', async () => {
    await host.cycles(2, ENOUGH);
    host.startTicks = 8n;
    await host.cycles(1, SHORT);
    assert.deepEqual(host.totals('cpu.delivered'), { good: 5, bad: 0, unknown: 5, excluded: 0 });
  });

  test('counts on neither side in a window of maintenance, for the SLIs that it covers', async () => {
    host.generation = generationOf(POLICY + MAINTENANCE);
    await host.cycles(3, SHORT);
    assert.deepEqual(host.totals('available'), { good: 0, bad: 0, unknown: 0, excluded: 10 });
    assert.equal(host.totals('cpu.delivered')?.bad, 10);
    assert.deepEqual(host.levels.snapshot().maintenance, [{ name: 'updates', open: true }]);
    host.nowMs += 3_600_000;
    await host.cycles(1, SHORT);
    assert.deepEqual(host.levels.snapshot().maintenance, [{ name: 'updates', open: false }]);
  });

  test('has none while it is released, and goes on where it was', async () => {
    await host.cycles(2, SHORT);
    host.picture = { handsOff: { kind: 'released', untilMs: null } };
    await host.cycles(5, SHORT);
    assert.deepEqual(host.levels.stateOf(fixtureUuid(1)), []);
    host.picture = {};
    await host.cycles(2, SHORT);
    assert.equal(host.totals('cpu.delivered')?.bad, 10);
  });

  test('is measured on while it is held, and in a class that merely limits not at all', async () => {
    host.picture = { handsOff: { kind: 'held', untilMs: null } };
    await host.cycles(2, SHORT);
    assert.equal(host.totals('cpu.delivered')?.bad, 5);
    const other = new Host(null, 'web-1');
    other.picture = { className: 'plain' };
    await other.cycles(3, SHORT);
    assert.deepEqual(other.levels.stateOf(fixtureUuid(1)), []);
  });

  test('is not available after a crash, and is after somebody shut it down', async () => {
    const event = { kind: 'lifecycle', uuid: fixtureUuid(1), name: 'db-1' } as const;
    await host.cycles(2, ENOUGH);
    host.levels.onLibvirt({ ...event, event: 'stopped', detail: 2 });
    host.state = 'shutoff';
    await host.cycles(2);
    assert.equal(host.totals('available')?.bad, 10);
    host.levels.onLibvirt({ ...event, event: 'started', detail: 0 });
    host.levels.onLibvirt({ ...event, event: 'stopped', detail: 0 });
    await host.cycles(2);
    assert.deepEqual([host.totals('available')?.bad, host.totals('available')?.good], [10, 15]);
  });

  test('loses nothing of its history when it is gone for a while', async () => {
    await host.cycles(3, SHORT);
    host.present = false;
    await host.cycles(3);
    assert.deepEqual(host.levels.stateOf(fixtureUuid(1)), []);
    host.present = true;
    await host.cycles(2, SHORT);
    assert.equal(host.totals('cpu.delivered')?.bad, 15);
  });
});

describe('a defect of ours', () => {
  test('in one guest makes its time unknown, is counted each time and told once; the others go on', async () => {
    await host.cycles(2, ENOUGH);
    host.broken = true;
    await host.cycles(3, ENOUGH);
    assert.equal(host.failures, 3);
    assert.equal(host.said.length, 1);
    assert.match(host.said[0] ?? '', /slo\.account_failed.*db-2.*no such class.*INTERNAL/);
    assert.deepEqual(host.totals('available', 2), { good: 5, bad: 0, unknown: 15, excluded: 0 });
    assert.equal(host.totals('available')?.good, 20);
    host.broken = false;
    // What ended before has nothing that the first look after it could be compared with.
    await host.cycles(2, ENOUGH);
    assert.deepEqual(host.totals('cpu.delivered', 2), { good: 10, bad: 0, unknown: 20, excluded: 0 });
    assert.deepEqual(host.totals('available', 2), { good: 15, bad: 0, unknown: 15, excluded: 0 });
    host.broken = true;
    await host.cycles(1, ENOUGH);
    assert.equal(host.said.length, 2);
  });

  test('in one SLI costs that objective alone', async () => {
    await host.cycles(1, ENOUGH);
    const broken = { ...ENOUGH };
    Object.defineProperty(broken, 'shortfallSeconds', {
      enumerable: true,
      get: () => {
        throw new Error('no figure');
      },
    });
    host.nowMs += 5000;
    host.monotonicMs += 5000;
    host.cpu = broken;
    await host.levels.account();
    assert.deepEqual(host.totals('cpu.delivered'), { good: 0, bad: 0, unknown: 5, excluded: 0 });
    assert.equal(host.totals('available')?.good, 5);
  });

  test('in all of it never fails the cycle, nor what is shown', async () => {
    await host.cycles(2, ENOUGH);
    const { generation } = host;
    host.generation = new Proxy(generation, {
      get: () => {
        throw new Error('no generation');
      },
    });
    await host.cycles(4, SHORT);
    assert.deepEqual(host.totals('cpu.delivered'), { good: 5, bad: 0, unknown: 20, excluded: 0 });
    assert.deepEqual(host.levels.snapshot(), { classes: [], maintenance: [], store: null });
    host.generation = generation;
    await host.cycles(2, SHORT);
    assert.deepEqual(host.totals('cpu.delivered'), { good: 5, bad: 5, unknown: 25, excluded: 0 });
    assert.ok(host.said.every((line) => line.includes('slo.account_failed')));
    assert.equal(host.said.length, 2);
  });
});

describe('its terms', () => {
  const limit = (changes = {}) => ({ controls: [fixtureLimit(1, 2, 50_000, 50_000, changes)] });
  test('are the guarantee, and the limit as long as it holds', () => {
    host.picture = limit();
    assert.deepEqual(host.levels.cpuTerms(host.domain()), { guaranteedCores: 0.5, limit: { cores: 1, on: 'vcpus' } });
    host.picture = limit({ status: 'overridden' });
    assert.deepEqual(host.levels.cpuTerms(host.domain()), { guaranteedCores: 0.5, limit: null });
    host.picture = { ...limit(), handsOff: { kind: 'released', untilMs: null } };
    assert.deepEqual(host.levels.cpuTerms(host.domain()), { guaranteedCores: null, limit: null });
  });
});

describe('history', () => {
  let directory = '';
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'virtslad-slo-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  test('outlives the daemon; what it did not see is unknown', async () => {
    const first = new Host(new SloStore(directory));
    await first.levels.start();
    await first.cycles(121, SHORT);
    await first.levels.close();
    const second = new Host(new SloStore(directory));
    second.nowMs = first.nowMs + 600_000;
    await second.levels.start();
    await second.cycles(2, ENOUGH);
    const state = second.levels.stateOf(fixtureUuid(1)).find(({ sli }) => sli === 'cpu.delivered');
    assert.equal(state?.totals.bad, 600);
    assert.equal(state?.totals.good, 5);
    assert.ok(Math.abs((state?.totals.unknown ?? 0) - 605) <= 10, JSON.stringify(state?.totals));
    assert.deepEqual(state?.counters, { good: 5, bad: 0, unknown: 0, excluded: 0 });
    const { store } = second.levels.snapshot();
    assert.ok((store?.bytes ?? 0) > 0);
    assert.equal(store?.error, null);
    await second.levels.close();
  });

  test('with a bit that flipped is said not to be whole; that time is unknown', async () => {
    const first = new Host(new SloStore(directory));
    await first.levels.start();
    await first.cycles(221, ENOUGH);
    await first.levels.close();
    const [name = ''] = readdirSync(directory);
    const bytes = readFileSync(join(directory, name));
    const inLast = bytes.length - 10;
    bytes[inLast] = (bytes[inLast] ?? 0) ^ 4;
    writeFileSync(join(directory, name), bytes);
    const second = new Host(new SloStore(directory));
    second.nowMs = first.nowMs;
    await second.levels.start();
    await second.cycles(2, ENOUGH);
    assert.match(
      second.levels.snapshot().store?.error ?? '',
      /^\d+ bytes in .*\.slo were damaged; that time is unknown$/,
    );
    const { good = 0, unknown = 0 } = second.levels.stateOf(fixtureUuid(1))[1]?.totals ?? {};
    assert.ok(good <= 950 && good + unknown >= 1090, `${good} good, ${unknown} unknown`);
    assert.match(second.said[0] ?? '', /slo\.store_failed.*damaged/);
    await second.levels.close();
  });

  test('that cannot be stored is said once, and once more when it can', async () => {
    const blocked = join(directory, 'slo');
    writeFileSync(blocked, '');
    const one = new Host(new SloStore(join(blocked, 'slo'), { retryMs: 0 }));
    await one.levels.start();
    await one.cycles(130, ENOUGH);
    assert.match(one.levels.snapshot().store?.error ?? '', /ENOTDIR/);
    rmSync(blocked);
    for (let tries = 0; tries < 200 && one.levels.snapshot().store?.error !== null; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      await one.cycles(1, ENOUGH);
    }
    await one.cycles(1, ENOUGH);
    assert.deepEqual(
      one.said.map((line) => JSON.parse(line).event),
      ['slo.store_failed', 'slo.store_recovered'],
    );
    await one.levels.close();
    const two = new Host(new SloStore(join(blocked, 'slo')));
    two.nowMs = one.nowMs;
    await two.levels.start();
    await two.cycles(1, ENOUGH);
    assert.ok((two.levels.stateOf(fixtureUuid(1))[1]?.totals.good ?? 0) >= 645);
    await two.levels.close();
  });
});
