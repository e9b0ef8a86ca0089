/** The text of the rules: golden, stable, whole; and what promtool says of it. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { compile } from '../../src/policy/compile.js';
import { SLIS } from '../../src/policy/schema.js';
import { ALERT_NAMES } from '../../src/rules/daemon-alerts.js';
import { DEFAULT_OPTIONS } from '../../src/rules/rule.js';
import { type RulesDocument, renderRules, rulesOf } from '../../src/rules/rules.js';
import { golden } from '../policy/golden.js';
import { ROOT } from '../support/paths.js';
import { alertsOf, documentOf, promtool, recordsOf, withRuleFiles } from './fixture-rules.js';

const POLICIES = join(ROOT, 'policies');
const SHIPPED = 'dashboards/rules/virtslad.yaml';
const TESTS = join(ROOT, 'dashboards', 'rules', 'tests');

function shipped(): RulesDocument {
  const files = readdirSync(POLICIES).map((path) => ({ path, text: readFileSync(join(POLICIES, path), 'utf8') }));
  const result = compile(files);
  assert.ok(result.ok);
  return rulesOf(result.generation);
}

/** An objective of each SLI, over windows of all kinds. */
const ALL_KINDS = (Object.keys(SLIS) as (keyof typeof SLIS)[])
  .map((sli, index) => {
    const bound = {
      'at-least': ', at-least: 90%',
      'at-most-share': ', at-most: 5%',
      'at-most-duration': ', at-most: 10ms',
      none: '',
    };
    const window = ['30d', 'month', '7d', '1d', '12h', '10m', '1m', '90d', '60d'][index];
    const of = ['99.9%', '99%', '99.95%', '95%', '90%', '80%', '99%', '50%', '99.999%'][index];
    return `{ sli: ${sli}${bound[SLIS[sli]]}, of: ${of}, window: ${window} }`;
  })
  .join(', ');

describe('the rules', () => {
  test('of the example policies are the shipped ones', () => golden(SHIPPED, renderRules(shipped())));

  test('of a window of minutes are the golden ones', () => {
    const short = documentOf('{ sli: cpu.delivered, at-least: 95%, of: 99%, window: 10m }');
    golden('test/golden/rules/short-window.yaml', renderRules({ groups: short.groups.slice(0, -1) }));
  });

  test('are YAML that says what the document says', () => {
    assert.deepEqual(parse(renderRules(shipped())), JSON.parse(JSON.stringify(shipped())));
  });

  test('depend on the objectives alone: neither guests nor other keys nor the order of files are in them', () => {
    const text = (name: string, cpu: string) =>
      `version: 1\nclasses:\n  ${name}:\n    cpu: { limit: ${cpu} }\n    objectives: [{ sli: available, of: 99%, window: 7d }]\n`;
    const of = (...files: readonly [string, string][]) => {
      const result = compile(files.map(([path, content]) => ({ path, text: content })));
      assert.ok(result.ok);
      return renderRules(rulesOf(result.generation));
    };
    assert.equal(
      of(['a.yaml', text('zinc', '50%')], ['b.yaml', text('tin', '50%')]),
      of(['a.yaml', text('tin', '20%')], ['b.yaml', text('zinc', '80%')]),
    );
  });

  test('of a policy without objectives are the alerts about virtslad', () => {
    assert.deepEqual(
      documentOf('').groups.map(({ name }) => name),
      ['virtslad'],
    );
  });

  test('have groups of distinct names, and no rule twice', () => {
    const { groups } = documentOf(ALL_KINDS);
    assert.equal(new Set(groups.map(({ name }) => name)).size, groups.length);
    const rules = groups.flatMap((group) => group.rules);
    const keys = rules.map((rule) => JSON.stringify(['record' in rule ? rule.record : rule.alert, rule.labels]));
    assert.equal(new Set(keys).size, keys.length);
  });

  test('record the series that Sloth has, with its labels, once for each objective', () => {
    const records = recordsOf(documentOf('{ sli: cpu.wait, at-most: 5%, of: 99%, window: 30d }'));
    const names = records.map(({ record }) => record).filter((record) => /^slo(?:th)?[:_]/.test(record));
    assert.deepEqual(names, [
      ...['5m', '30m', '1h', '2h', '6h', '1d', '3d', '30d'].map((window) => `slo:sli_error:ratio_rate${window}`),
      'slo:objective:ratio',
      'slo:error_budget:ratio',
      'slo:time_period:days',
      'slo:current_burn_rate:ratio',
      'slo:period_burn_rate:ratio',
      'slo:period_error_budget_remaining:ratio',
      'sloth_slo_info',
    ]);
    for (const { labels } of records) {
      assert.equal(labels?.sloth_id, 'virtslad-gold-cpu-wait');
      assert.equal(labels?.sloth_service, 'virtslad-gold');
      assert.equal(labels?.sloth_slo, 'cpu-wait');
    }
  });
});

describe('the alerts', () => {
  test('each have severity, summary, description, and a page that exists', () => {
    const alerts = alertsOf(shipped());
    assert.deepEqual([...new Set(alerts.map(({ alert }) => alert))].sort(), [...ALERT_NAMES].sort());
    for (const { alert, labels, annotations } of alerts) {
      assert.match(labels.severity, /^(?:critical|warning)$/);
      assert.match(annotations.summary, /^[A-Zv][^{}]*\.$/, 'one sentence, the same for all');
      assert.match(annotations.description, /\{\{.*\.$/s);
      assert.equal(annotations.runbook_url, `${DEFAULT_OPTIONS.runbookUrl}/${alert}.md`);
      const page = join(ROOT, 'docs', 'runbooks', `${alert}.md`);
      assert.ok(existsSync(page), page);
      assert.match(readFileSync(page, 'utf8'), new RegExp(`^# ${alert}$`, 'm'));
    }
  });

  test('no page is about an alert that there is not', () => {
    const pages = readdirSync(join(ROOT, 'docs', 'runbooks')).filter((page) => page !== 'README.md');
    assert.deepEqual(pages.sort(), ALERT_NAMES.map((name) => `${name}.md`).sort());
  });

  test('name the pages and the job that were asked for', () => {
    const alerts = alertsOf(documentOf('', { runbookUrl: 'https://wiki.example.com/v', job: 'kvm' }));
    const down = alerts.find(({ alert }) => alert === 'VirtsladDown');
    assert.equal(down?.expr, 'up{job="kvm"} == 0 or absent(up{job="kvm"})');
    assert.equal(down?.annotations.runbook_url, 'https://wiki.example.com/v/VirtsladDown.md');
  });

  test('name only metrics that virtslad has or that the rules record', () => {
    const reference = readFileSync(join(ROOT, 'docs', 'reference', 'metrics.md'), 'utf8');
    const document = documentOf(ALL_KINDS);
    const known = new Set(recordsOf(document).map(({ record }) => record));
    const asked = document.groups
      .flatMap(({ rules }) => rules)
      .flatMap(({ expr }) => expr.match(/\b(?:virtsla|slo|sloth)[:_][\w:]+/g) ?? [])
      .filter((name) => !name.startsWith('sloth_') && !known.has(name));
    for (const name of asked) assert.ok(reference.includes(`\`${name}\``), name);
  });
});

describe('promtool', () => {
  test('finds nothing to say about rules of all kinds', async (t) => {
    await withRuleFiles(documentOf(ALL_KINDS), '', async (directory) => {
      const run = await promtool(t, ['check', 'rules', '--lint-fatal', 'rules.yaml'], directory);
      assert.equal(run?.code ?? 0, 0, run?.stdout + (run?.stderr ?? ''));
    });
  });

  for (const file of readdirSync(TESTS)) {
    test(`${file} holds of the shipped rules`, async (t) => {
      const run = await promtool(t, ['test', 'rules', file], TESTS);
      assert.equal(run?.code ?? 0, 0, run?.stdout + (run?.stderr ?? ''));
    });
  }

  test('over a window of ten minutes a contention of a minute fires in seconds and is over soon after', async (t) => {
    const seconds = 'virtsla_slo_seconds_total{domain="db-1",uuid="u1",class="gold",sli="cpu.delivered"';
    const fires = (severity: string, value: string) =>
      `exp_alerts: [{ exp_labels: { severity: ${severity}, ${LABELS[severity]} }, exp_annotations: { ${annotations(severity, value)} } }]`;
    const script = `
rule_files: [rules.yaml]
evaluation_interval: 3s
tests:
  - interval: 1s
    input_series:
      - { series: '${seconds},result="good"}', values: '0+1x300 300x60 301+1x900' }
      - { series: '${seconds},result="bad"}', values: '0x300 1+1x60 61x900' }
    alert_rule_test:
      - { eval_time: 5m, alertname: VirtsladErrorBudgetBurn, exp_alerts: [] }
      - { eval_time: 303s, alertname: VirtsladErrorBudgetBurn, ${fires('critical', '30%')} }
      - { eval_time: 390s, alertname: VirtsladErrorBudgetBurn, ${fires('warning', '42%')} }
      - { eval_time: 420s, alertname: VirtsladErrorBudgetBurn, exp_alerts: [] }
`;
    const objective = '{ sli: cpu.delivered, at-least: 95%, of: 99%, window: 10m }';
    await withRuleFiles(documentOf(objective), script, async (directory) => {
      const run = await promtool(t, ['test', 'rules', 'test.yaml'], directory);
      assert.equal(run?.code ?? 0, 0, run?.stdout + (run?.stderr ?? ''));
    });
  });

  test('of a time that is bad as a whole no more than 100 % is said to be bad, though counters rise in steps', async (t) => {
    const script = `
rule_files: [rules.yaml]
evaluation_interval: 1s
tests:
  - interval: 1s
    input_series:
      - series: 'virtsla_slo_seconds_total{domain="db-1",uuid="u1",class="gold",sli="cpu.delivered",result="bad"}'
        values: '${Array.from({ length: 60 }, (_, second) => 5 * Math.floor(second / 5)).join(' ')}'
    promql_expr_test:
      - { expr: 'max_over_time(virtsla:slo_bad:ratio_rate13s[40s]) == 1', eval_time: 55s, exp_samples: [{ labels: '{${LABELLED}}', value: 1 }] }
`;
    const objective = '{ sli: cpu.delivered, at-least: 95%, of: 99%, window: 10m }';
    await withRuleFiles(documentOf(objective), script, async (directory) => {
      const run = await promtool(t, ['test', 'rules', 'test.yaml'], directory);
      assert.equal(run?.code ?? 0, 0, run?.stdout + (run?.stderr ?? ''));
    });
  });
});

const GUEST = 'domain: db-1, uuid: u1, class: gold, sli: cpu.delivered';
const SLOTH = 'sloth_id: virtslad-gold-cpu-delivered, sloth_service: virtslad-gold, sloth_slo: cpu-delivered';
const LABELLED = `${SLOTH}, ${GUEST}`.replace(/: ([^,]+)/g, '="$1"');
const LABELS: Readonly<Record<string, string>> = {
  critical: `sloth_severity: page, ${SLOTH}, ${GUEST}`,
  warning: `sloth_severity: ticket, ${SLOTH}, ${GUEST}`,
};

function annotations(severity: string, value: string): string {
  const alerts = alertsOf(
    documentOf('{ sli: cpu.delivered, at-least: 95%, of: 99%, window: 10m }'),
    'VirtsladErrorBudgetBurn',
  );
  const { summary, description, runbook_url } =
    alerts.find(({ labels }) => labels.severity === severity)?.annotations ?? assert.fail(severity);
  const text = description
    .replace('{{ $labels.domain }}', 'db-1')
    .replace('{{ $labels.uuid }}', 'u1')
    .replace('{{ $labels.instance }}', '')
    .replace('{{ $value | humanizePercentage }}', value);
  return `summary: ${JSON.stringify(summary)}, description: ${JSON.stringify(text)}, runbook_url: ${runbook_url}`;
}
