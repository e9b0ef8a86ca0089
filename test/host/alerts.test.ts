/**
 * From a real contention to a real alert and back: the rules as `virtslad rules` writes them, in a real Prometheus that scrapes
 * a real daemon, while a neighbour takes the CPU of a guest and lets it go again.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { after, test } from 'node:test';
import { measureCores } from '../support/cpu-time.js';
import { Lab } from '../support/lab.js';
import { ROOT } from '../support/paths.js';
import { type ActiveAlert, Prometheus } from '../support/prometheus.js';
import { sleep, waitUntil } from '../support/wait.js';

const lab = await Lab.open();
after(() => lab.close());

/**
 * The shortest window that an objective can have: its alerts look at 30 s and 10 s, and at 1 m and 10 s. Alone the guest gets
 * nearly a core, beside the neighbour a twentieth: other load of the machine takes neither across 0.2 cores.
 */
const POLICY = `version: 1
classes:
  promised:
    cpu: { guarantee: 25%, weight: 100 }
    objectives: [{ sli: cpu.delivered, at-least: 80%, of: 90%, window: 1m }]
  neighbour: { cpu: { weight: 1900 } }
assignments:
  - { class: promised, match: { name: ["promised-*", "idle-*"] } }
  - { class: neighbour, match: { any: true } }
`;
const BAD_BELOW_CORES = 0.8 * 0.25;
const BURN = 'VirtsladErrorBudgetBurn';

const promised = await lab.startGuest({ name: 'promised-1', cpuset: '0' });
const idle = await lab.startGuest({ name: 'idle-1', burn: false });
const neighbour = lab.guest({ name: 'neighbour-1', cpuset: '0' });
await promised.waitUntilBusy();
const daemon = await lab.startDaemon({ policies: { '10-alerts.yaml': POLICY } });
await daemon.waitUntilCompliant([promised, idle]);
const prometheus = await Prometheus.start(lab, daemon, { everySecond: false });
const skip = prometheus === null ? 'prometheus is not installed' : false;

async function firing(): Promise<readonly ActiveAlert[]> {
  const alerts = (await prometheus?.alerts()) ?? [];
  return alerts.filter(({ state }) => state === 'firing');
}

async function bothFiring(): Promise<readonly ActiveAlert[]> {
  const both = async () => {
    const alerts = await firing();
    return alerts.length >= 2 && alerts;
  };
  return waitUntil('both alerts', both, { seconds: 90, everyMs: 500 });
}

async function figureOf(expr: string): Promise<number> {
  const [series] = (await prometheus?.query(expr)) ?? [];
  return series === undefined ? Number.NaN : Number(series.value[1]);
}

test('nothing fires while the guest gets what it is promised', { skip }, async (t) => {
  const good = `virtsla_slo_seconds_total{domain="${promised.name}",result="good"}`;
  await waitUntil('seconds that were judged', async () => (await figureOf(good)) >= 20, { seconds: 60, everyMs: 500 });
  const [cores = 0] = await measureCores([promised.pid], 2);
  t.diagnostic(`alone it has ${cores.toFixed(2)} cores`);
  assert.equal(await figureOf(`virtsla:slo_bad:ratio_rate30s{domain="${promised.name}"}`), 0);
  assert.deepEqual(await firing(), []);
});

test('a neighbour that takes its CPU fires both alerts, which say who, how much and what to do', {
  skip,
}, async (t) => {
  await neighbour.start();
  const began = performance.now();
  await neighbour.waitUntilBusy();
  const alerts = await bothFiring();
  t.diagnostic(`both fire ${((performance.now() - began) / 1000).toFixed(0)} s after the neighbour's start`);
  const [cores = 1] = await measureCores([promised.pid], 2);
  t.diagnostic(`beside the neighbour it has ${cores.toFixed(2)} cores`);
  assert.ok(cores < BAD_BELOW_CORES, `${cores} cores: it is not short`);

  assert.deepEqual(alerts.map(({ labels }) => labels.severity).sort(), ['critical', 'warning']);
  const instance = new URL(daemon.url).host;
  for (const { labels, annotations } of alerts) {
    const { severity, sloth_severity, ...others } = labels;
    assert.equal(sloth_severity, severity === 'critical' ? 'page' : 'ticket');
    assert.deepEqual(others, {
      alertname: BURN,
      domain: promised.name,
      uuid: promised.uuid,
      class: 'promised',
      sli: 'cpu.delivered',
      instance,
      job: 'virtslad',
      sloth_id: 'virtslad-promised-cpu-delivered',
      sloth_service: 'virtslad-promised',
      sloth_slo: 'cpu-delivered',
    });
    const { summary = '', description = '', runbook_url = '' } = annotations;
    t.diagnostic(`${severity}: ${description}`);
    assert.match(summary, /^A guest spends the error budget .*\.$/);
    const who = `Guest ${promised.name} (${promised.uuid}) on ${instance}: cpu.delivered was bad in `;
    assert.ok(description.startsWith(who), description);
    assert.match(
      description.slice(who.length),
      /^(?:100|\d\d?(?:\.\d+)?)% of the last minutes or hours\. Class promised promises it for 90% of the time over 1m\.$/,
    );
    assert.equal(basename(runbook_url), `${BURN}.md`);
    assert.ok(existsSync(join(ROOT, 'docs', 'runbooks', basename(runbook_url))), runbook_url);
  }
});

test('both are resolved when the neighbour is gone, and stay so', { skip }, async (t) => {
  await bothFiring();
  await neighbour.destroy();
  const began = performance.now();
  await waitUntil('all to be resolved', async () => (await firing()).length === 0, { seconds: 90, everyMs: 500 });
  t.diagnostic(`resolved ${((performance.now() - began) / 1000).toFixed(0)} s after the neighbour's end`);
  const [cores = 0] = await measureCores([promised.pid], 2);
  assert.ok(cores > BAD_BELOW_CORES, `${cores} cores: it is still short`);
  // Longer than the short window: a gap between two bad cycles is not it.
  await sleep(15);
  assert.deepEqual(await firing(), []);
});

test('nothing else has fired meanwhile: not for the guest of the same class that idles, nor about the daemon', {
  skip,
}, async () => {
  const fired = (await prometheus?.query('count_over_time(ALERTS{alertstate="firing"}[10m])')) ?? [];
  const seen = fired.map(({ metric }) => `${metric.alertname} ${metric.severity} ${metric.domain}`).sort();
  assert.deepEqual(seen, [`${BURN} critical ${promised.name}`, `${BURN} warning ${promised.name}`]);
  const judged = `sum by (domain) (virtsla_slo_seconds_total{domain="${idle.name}",result="good"})`;
  assert.ok((await figureOf(judged)) > 20, 'the idle guest was judged too');
});
