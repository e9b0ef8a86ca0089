import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { test } from 'node:test';
import { CONTROLS } from '../../src/controls/registry.js';
import { daemonFamilies } from '../../src/metrics/daemon-families.js';
import { domainFamilies } from '../../src/metrics/domain-families.js';
import type { FamilyHead } from '../../src/metrics/family.js';
import { createMetrics, type MetricsOptions } from '../../src/metrics/metrics.js';
import { OWN_FAMILIES, RECONCILE_DURATION } from '../../src/metrics/own-families.js';
import { renderMetricsReference } from '../../src/metrics/reference.js';
import type { ControlSnapshot } from '../../src/snapshot/types.js';
import { fixtureDomain, fixtureLimit, fixtureSnapshot } from '../fixtures/snapshot.js';
import { fixtureDisk, fixtureInterface, fixtureMemory, fixturePressure } from '../signals/fixture-signals.js';
import { FIXTURE_CONTROLS, FIXTURE_FIGURES } from './fixture-metrics.js';

const OPTIONS: MetricsOptions = {
  version: '0.1.0',
  nodeVersion: '20.19.0',
  controls: FIXTURE_CONTROLS,
  processFigures: async () => FIXTURE_FIGURES,
};

async function page(
  options: Partial<MetricsOptions> = {},
  ...snapshots: ReturnType<typeof fixtureSnapshot>[]
): Promise<string> {
  const metrics = createMetrics({ ...OPTIONS, ...options });
  metrics.observeCycle(0.02);
  for (const snapshot of snapshots) metrics.update(snapshot);
  return (await metrics.render()).body.toString();
}

/** The fixture with signals on one guest and on the host. */
function withSignals(): ReturnType<typeof fixtureSnapshot> {
  const { host, domains, atMs } = fixtureSnapshot();
  const [first, ...others] = domains;
  const disks = [fixtureDisk('vda', atMs - 42_500), fixtureDisk('sda', atMs - 42_500, { limited: null })];
  const signals = {
    memory: fixtureMemory(),
    disks,
    interfaces: [fixtureInterface('vnet0')],
    pressure: fixturePressure(),
  };
  const limits: ControlSnapshot = {
    ...fixtureLimit(1, 1, null, null),
    id: 'disk.limit',
    amounts: [
      {
        metric: 'disk_limit_operations_per_second',
        labels: { disk: 'vda', direction: 'read' },
        desired: 8000,
        actual: 8000,
      },
      { metric: 'disk_limit_operations_per_second', labels: { disk: 'sda', direction: 'read' }, desired: 8000 },
      {
        metric: 'disk_limit_bytes_per_second',
        labels: { disk: 'vda', direction: 'write' },
        desired: 2e8,
        actual: null,
      },
    ],
  };
  const guest = { ...(first ?? fixtureDomain(1, {})), ...signals };
  return fixtureSnapshot({
    host: { ...host, pressure: fixturePressure({ memory: null }) },
    domains: [{ ...guest, controls: [...guest.controls, limits] }, ...others],
  });
}

/** Compares with a file of the repository, or writes it when UPDATE_GOLDEN is 1. */
function golden(path: string, actual: string): void {
  const file = resolve(path);
  if (process.env.UPDATE_GOLDEN === '1') {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, actual);
  }
  assert.equal(actual, readFileSync(file, 'utf8'), `${path} is stale: UPDATE_GOLDEN=1 writes it anew`);
}

test('the page of the fixture snapshot is the golden one', async () => {
  golden('test/golden/metrics/fixture.prom', await page({}, withSignals()));
});

test('promtool finds nothing to say, hostile guest names included', async (t) => {
  const run = spawnSync('promtool', ['check', 'metrics'], {
    input: await page({}, withSignals()),
    encoding: 'utf8',
  });
  if ((run.error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') return t.skip('promtool is not installed');
  assert.equal(run.stdout + run.stderr, '');
  assert.equal(run.status, 0);
});

test('the reference page is what the declarations say', () => {
  golden('docs/reference/metrics.md', renderMetricsReference(CONTROLS));
});

test('every family has a legal name of its own and a help that reads as one sentence', () => {
  const families: FamilyHead[] = [
    ...OWN_FAMILIES,
    RECONCILE_DURATION,
    ...daemonFamilies(FIXTURE_CONTROLS),
    ...domainFamilies(FIXTURE_CONTROLS),
  ];
  const names = families.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  for (const { name, help, type, labels } of families) {
    assert.match(name, /^(virtsla|process)_[a-z]+(_[a-z]+)*$/);
    assert.match(help, /^[A-Z0-9].*[^.]$/, name);
    assert.equal(name.endsWith('_total'), type === 'counter', name);
    if (name.endsWith('_info')) assert.equal(`${type} ${help.slice(0, 9)}`, 'gauge Always 1;', name);
    for (const label of labels) assert.match(label, /^[a-z]+(_[a-z]+)*$/);
  }
});

test('desired and actual values come from the registry, no limit is +Inf, unknown has no series', async () => {
  const text = await page({}, fixtureSnapshot());
  const value = (name: string, domain: string): string | undefined =>
    text.match(new RegExp(`^${name}\\{domain="${domain}"[^}]*\\} (.*)$`, 'm'))?.[1];
  assert.equal(value('virtsla_cpu_limit_desired_cores', 'db-1'), '+Inf');
  assert.equal(value('virtsla_cpu_limit_actual_cores', 'web-1'), '1');
  assert.equal(value('virtsla_cpu_limit_desired_cores', 'batch-2'), undefined, 'refused: nothing is desired');
  assert.equal(value('virtsla_cpu_limit_actual_cores', 'batch-2'), '+Inf');
  assert.equal(value('virtsla_cpu_weight_desired', 'db-1'), '200');
  assert.equal(value('virtsla_cpu_limit_desired_cores', 'legacy'), undefined);
  const unread = fixtureDomain(1, {
    controls: [
      fixtureLimit(1, 2, 20_000, null, { amounts: [{ metric: 'cpu_limit_cores', labels: {}, desired: 0.4 }] }),
    ],
  });
  const unknown = await page({}, fixtureSnapshot({ domains: [unread] }));
  assert.match(unknown, /^virtsla_cpu_limit_desired_cores\{.*\} 0\.4$/m);
  assert.doesNotMatch(unknown, /^virtsla_cpu_limit_actual_cores\{/m);
});

test('a control with several figures has a series for each, by its labels', async () => {
  const text = await page({}, withSignals());
  const lines = [...text.matchAll(/^(virtsla_disk_limit_\w+)\{domain="db-1",[^}]*,(disk=.*)\} (.*)$/gm)].map((found) =>
    found.slice(1).join(' '),
  );
  assert.deepEqual(lines, [
    'virtsla_disk_limit_desired_bytes_per_second disk="vda",direction="write" 200000000',
    'virtsla_disk_limit_actual_bytes_per_second disk="vda",direction="write" +Inf',
    'virtsla_disk_limit_desired_operations_per_second disk="vda",direction="read" 8000',
    'virtsla_disk_limit_desired_operations_per_second disk="sda",direction="read" 8000',
    'virtsla_disk_limit_actual_operations_per_second disk="vda",direction="read" 8000',
  ]);
});

test('signals that the host does not have have no series', async () => {
  const names = (text: string): string[] => [
    ...new Set(text.match(/^virtsla_(?:memory|disk|network|pressure)_\w+(?=\{)/gm)),
  ];
  assert.deepEqual(names(await page({}, fixtureSnapshot())), []);
  const memory = fixtureMemory({ peakBytes: null, reclaimedBytes: null, highEvents: null });
  const disks = [fixtureDisk('vda', 0, { limited: null })];
  const guest = fixtureDomain(1, { memory, disks, pressure: fixturePressure({ cpu: null, io: null }) });
  const text = await page({}, fixtureSnapshot({ domains: [guest] }));
  assert.doesNotMatch(text, /^virtsla_(?:memory_(?:peak|reclaimed|high)|disk_at_limit|network|host_pressure)\w*\{/m);
  assert.match(text, /^virtsla_memory_limit_events_total\{.*\} 7$/m);
  assert.deepEqual(text.match(/resource="\w+"\} .*/g), ['resource="memory"} 1.5', 'resource="memory"} 0.5']);
});

test('the age of the disks is that of the oldest, and never negative', async () => {
  const { atMs } = fixtureSnapshot();
  const age = async (...ages: number[]): Promise<string | undefined> => {
    const disks = ages.map((ms, index) => fixtureDisk(`vd${index}`, atMs - ms));
    const text = await page({}, fixtureSnapshot({ domains: [fixtureDomain(1, { disks })] }));
    return /^virtsla_disk_reading_age_seconds\{.*\} (.*)$/m.exec(text)?.[1];
  };
  assert.equal(await age(1500, 62_000), '62');
  assert.equal(await age(-5000), '0');
  assert.equal(await age(), undefined);
});

test('why a guest is not compliant is a code from the list', async () => {
  const snapshot = fixtureSnapshot();
  const line =
    /^virtsla_control_noncompliant\{.*uuid="[-0-9]*?0*([1-9]\d*)",class="[a-z]+",control="(.*)",reason="(.*)"\} 1$/gm;
  const reasons = async (changes: Parameters<typeof fixtureSnapshot>[0]): Promise<string[]> =>
    [...(await page({}, fixtureSnapshot(changes))).matchAll(line)].map((found) => found.slice(1).join(' '));
  assert.deepEqual(await reasons({}), [
    '2 cpu.limit overridden',
    '2 svirt.label violated',
    '3 cpu.limit contested',
    '3 svirt.label pending-restart',
    '4 cpu.limit refused',
    '7 cpu.weight held',
    '7 cpu.limit held',
    '8 cpu.limit released',
    '9 cpu.weight pending',
    '9 cpu.limit failed',
    '10  obstructed',
  ]);
  assert.ok((await reasons({ mode: 'observe' })).some((line) => line.endsWith('cpu.weight observe')));
  assert.ok((await reasons({ killSwitch: true })).some((line) => line.endsWith('cpu.weight kill-switch')));
  const silent = [fixtureDomain(1, { className: 'gold', compliant: false })];
  assert.deepEqual(await reasons({ ...snapshot, domains: silent }), ['1  unknown']);
});

test('counters are there at 0 before and after the first snapshot', async () => {
  const before = await page();
  for (const name of [
    'virtsla_reconciles_total',
    'virtsla_domain_starts_total',
    'virtsla_domain_series_dropped_total',
  ]) {
    assert.match(before, new RegExp(`^${name} 0$`, 'm'));
  }
  assert.doesNotMatch(before, /^virtsla_ready /m, 'a gauge is absent until it is known');
  const text = await page(
    {},
    fixtureSnapshot({ counters: { ...fixtureSnapshot().counters, writes: {}, driftRepairs: {} } }),
  );
  assert.match(text, /^virtsla_writes_total\{control="cpu.limit"\} 0$/m);
  assert.match(text, /^virtsla_writes_total\{control="cpu.weight"\} 0$/m);
  assert.doesNotMatch(text, /^virtsla_writes_total\{control="memory.guarantee"\}/m, 'not built');
  assert.match(text, /^virtsla_drift_repairs_by_writer_total\{writer="systemd"\} 0$/m);
  assert.match(text, /^virtsla_drift_repairs_total\{domain="legacy"[^}]*\} 0$/m);
});

test('a later snapshot replaces the earlier one whole', async () => {
  const later = fixtureSnapshot({
    domains: [],
    generation: { id: 'ffffffffffff', acceptedAtMs: 0, files: [] },
    nextScheduleBoundaryMs: null,
  });
  const text = await page({}, fixtureSnapshot(), later);
  assert.deepEqual(text.match(/^virtsla_policy_generation_info.*$/gm), [
    'virtsla_policy_generation_info{generation="ffffffffffff"} 1',
  ]);
  assert.doesNotMatch(text, /domain="/);
  assert.doesNotMatch(text, /^virtsla_schedule_next_boundary_timestamp_seconds /m);
  assert.doesNotMatch(text, /^virtsla_schedule_open\{/m);
});

test('feasibility needs weights within capacity and guarantees within cores', async () => {
  const { host } = fixtureSnapshot();
  const feasible = async (changes: Partial<typeof host>): Promise<string | undefined> =>
    (await page({}, fixtureSnapshot({ host: { ...host, ...changes } }))).match(
      /^virtsla_guarantees_feasible (.)$/m,
    )?.[1];
  assert.equal(await feasible({}), '1');
  assert.equal(await feasible({ weightSum: 1601 }), '0');
  assert.equal(await feasible({ guaranteedCores: 16.5 }), '0');
  assert.equal(await feasible({ weightSum: 1601, guaranteedCores: 0 }), '1', 'nothing is promised');
});

test('a snapshot is rendered once, and what the cap drops is counted', async () => {
  let figures = 0;
  const metrics = createMetrics({
    ...OPTIONS,
    domainSeriesMax: 20,
    processFigures: async () => {
      figures++;
      return FIXTURE_FIGURES;
    },
  });
  const snapshot = fixtureSnapshot();
  metrics.update(snapshot);
  const [first, second] = await Promise.all([metrics.render(), metrics.render()]);
  assert.equal(first, second);
  assert.equal(await metrics.render(), first);
  metrics.update(snapshot);
  assert.equal(await metrics.render(), first, 'the same snapshot again');
  assert.equal(figures, 1);
  const dropped = (text: Buffer): number =>
    Number(text.toString().match(/^virtsla_domain_series_dropped_total (\d+)$/m)?.[1]);
  assert.ok(dropped(first.body) > 0);
  metrics.update(fixtureSnapshot());
  assert.equal(dropped((await metrics.render()).body), 2 * dropped(first.body));
});

test('a failed rendering is not kept', async () => {
  let fail = true;
  const metrics = createMetrics({
    ...OPTIONS,
    processFigures: async () => {
      if (fail) throw new Error('no figures');
      return FIXTURE_FIGURES;
    },
  });
  await assert.rejects(metrics.render(), /no figures/);
  fail = false;
  assert.match((await metrics.render()).body.toString(), /virtsla_build_info/);
});

test('the figures of this process are there and count its descriptors', async () => {
  const metrics = createMetrics({ version: '0.1.0', controls: FIXTURE_CONTROLS });
  const { body, contentType } = await metrics.render();
  assert.match(body.toString(), /^process_open_fds [1-9]\d*$/m);
  assert.match(body.toString(), /^process_resident_memory_bytes [1-9]\d{6,}$/m);
  assert.equal(contentType, 'text/plain; version=0.0.4; charset=utf-8');
});
