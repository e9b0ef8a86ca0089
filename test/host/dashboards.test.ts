/**
 * Every query of every panel and variable of the committed dashboards, asked of a real Prometheus that scrapes a real daemon
 * with real guests. Each must be answered with data; what this host cannot give is named below, with why.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { BOARDS, queriesOf, variableQueriesOf } from '../dashboards/boards.js';
import { partsOf, substituted } from '../dashboards/promql.js';
import { READ_SMALL } from '../support/boot-sector.js';
import { Lab } from '../support/lab.js';
import { Prometheus } from '../support/prometheus.js';
import { waitUntil } from '../support/wait.js';

const lab = await Lab.open();
after(() => lab.close());

const OBJECTIVES =
  'objectives: [{ sli: cpu.delivered, at-least: 95%, of: 99%, window: 30d }, { sli: available, of: 99%, window: month }]';
const POLICY = `version: 1
classes:
  busy:
    cpu: { guarantee: 10%, limit: 20%, burst: 10ms, pin: "0" }
    memory: { guarantee: 50%, limit: 512MiB, swap: 64MiB, high: 400MiB }
    disk: { limit: { read: 400kB/s, write: 400kB/s, read-iops: 20, write-iops: 20 } }
    ${OBJECTIVES}
  quiet:
    cpu: { guarantee: 10% }
    disk: { limit: { total: 1MB/s, iops: 100 }, weight: 50 }
    network: { limit: { in: 1Gbit/s, out: 1Gbit/s } }
    ${OBJECTIVES}
assignments:
  - { class: busy, match: { name: "busy-*" } }
  - { class: quiet, match: { any: true } }
schedules:
  - { name: early, cron: "0 0 * * *", for: 13h, set: { quiet.cpu.weight: 50 } }
  - { name: late, cron: "0 12 * * *", for: 13h, set: { quiet.cpu.weight: 40 } }
maintenance:
  - { name: nightly, cron: "0 3 * * *", for: 1h, classes: [quiet] }
`;
/** What has no data on a host where all is well, or on some hosts: a pattern of the metric, and why. */
const ABSENT: readonly (readonly [RegExp, string])[] = [
  [/^virtsla_svirt_/, 'only with SELinux'],
  [/^virtsla_host_io_cost_/, 'only with cgroup v2'],
  [/^virtsla_memory_(?:reclaimed|high)_/, 'only with cgroup v2'],
  [/^virtsla_memory_(?:high|guarantee)_(?:desired|actual)_/, 'only with cgroup v2'],
  [/^virtsla_memory_swap_limit_actual_/, 'only with cgroup v2: v1 limits memory and swap together'],
  [/^virtsla_(?:host_)?pressure_/, 'only with pressure stall information'],
  [/^virtsla_disk_weight_/, 'only where disks are weighted'],
  [/^virtsla_network_limit_/, 'only with sch_htb and its kin in the kernel'],
  [/^virtsla_disk_at_limit$/, 'only where it can be told'],
  [/^virtsla_control_(?:noncompliant|unsupported)$/, 'only where something cannot be done'],
  [/^virtsla_(?:writes|apply_failures|drift_repairs_by_writer)_total$/, 'only once it has happened'],
];

const guests = [
  await lab.startGuest({ name: 'busy-1', program: { ...READ_SMALL, disk: 0 } }),
  await lab.startGuest({ name: 'quiet-1', burn: false, interfaces: [{ source: 'ethernet' }] }),
];
const daemon = await lab.startDaemon({ policies: { '10-dashboards.yaml': POLICY } });
const prometheus = await Prometheus.start(lab, daemon);
const why = prometheus === null ? 'prometheus is not installed' : false;

interface Asked {
  readonly where: string;
  /** With each guest in the place of the variable: one of them has to answer. */
  readonly forms: readonly string[];
}

function asked(): readonly Asked[] {
  const instance = new URL(daemon.url).host;
  return BOARDS.flatMap((board) => [...queriesOf(board), ...variableQueriesOf(board)]).map(({ expr, where }) => ({
    where,
    forms: guests.map(({ name }) =>
      substituted(expr, {
        host: instance,
        class: name.startsWith('busy') ? 'busy' : 'quiet',
        domain: name,
        sli: '.*',
        search: '',
        __rate_interval: '15s',
        __range: '1m',
      }),
    ),
  }));
}

async function isAnswered({ forms }: Asked): Promise<boolean> {
  for (const form of forms) if (((await prometheus?.query(form)) ?? []).length > 0) return true;
  return false;
}

function mayBeAbsent({ forms: [form = ''] }: Asked): boolean {
  return partsOf(form).selectors.some(({ metric }) => ABSENT.some(([pattern]) => pattern.test(metric)));
}

test('Prometheus takes every query, and answers each with data', { skip: why }, async (t) => {
  const all = asked();
  let open = all;
  const left = async (): Promise<boolean> => {
    const still: Asked[] = [];
    for (const one of open) if (!(await isAnswered(one))) still.push(one);
    open = still;
    return open.every(mayBeAbsent);
  };
  try {
    await waitUntil('an answer to every query', left, { seconds: 90, everyMs: 2000 });
  } catch (error) {
    const missing = open.filter((one) => !mayBeAbsent(one)).map(({ where, forms: [form] }) => `${where}: ${form}`);
    throw new Error(`${missing.length} queries without data:\n${missing.join('\n')}`, { cause: error });
  }
  t.diagnostic(`${all.length} queries, ${all.length - open.length} with data on this host`);
  for (const { where } of open) t.diagnostic(`without data here: ${where}`);
  assert.ok(all.length - open.length >= 0.75 * all.length, `${open.length} of ${all.length} without data`);
});

test('a figure of a dashboard is what the daemon says', { skip: why }, async () => {
  const [busy] = guests;
  const [series] = (await prometheus?.query(`virtsla_cpu_limit_actual_cores{domain="${busy?.name}"}`)) ?? [];
  assert.equal(series?.value[1], '0.2');
  const rules = (await prometheus?.query('slo:objective:ratio{sloth_service="virtslad-busy"}')) ?? [];
  assert.deepEqual(rules.map(({ metric }) => metric.sloth_slo).sort(), ['available', 'cpu-delivered']);
});
