/**
 * The committed dashboards: current, whole, and every query of every panel and variable asks for what the daemon and the
 * rules really have. That Prometheus answers each of them is shown on a real host.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { promtool } from '../rules/fixture-rules.js';
import { ROOT } from '../support/paths.js';
import { BOARDS, knownMetrics, type Panel, queriesOf, variableQueriesOf } from './boards.js';
import { partsOf, substituted, variablesOf } from './promql.js';

const KNOWN = knownMetrics();
/** What Grafana would put in. */
const VALUES = {
  host: '.*',
  class: '.*',
  domain: '.*',
  sli: '.*',
  search: '',
  __rate_interval: '1m',
  __range: '1h',
};

describe('dashboards as code', () => {
  test('four of them, under identifiers that never change', () => {
    const uids = ['virtslad-class', 'virtslad-daemon', 'virtslad-fleet', 'virtslad-guest'];
    assert.deepEqual(
      BOARDS.map(({ uid }) => uid),
      uids,
    );
    assert.deepEqual(
      BOARDS.map(({ file }) => file),
      uids.map((uid) => `dashboards/grafana/${uid}.json`),
    );
  });

  test('what is committed is what the code makes', async () => {
    const module = pathToFileURL(join(ROOT, 'scripts/dashboards/dashboards.mjs')).href;
    const { DASHBOARDS } = (await import(module)) as { DASHBOARDS: Record<string, () => object> };
    assert.deepEqual(Object.keys(DASHBOARDS).sort(), BOARDS.map(({ file }) => file).sort());
    for (const [file, make] of Object.entries(DASHBOARDS)) {
      const text = `${JSON.stringify(make(), null, 2)}\n`;
      assert.equal(readFileSync(join(ROOT, file), 'utf8'), text, `${file} is stale: npm run generate`);
    }
  });

  test('no data source, host or secret of anybody is in them', () => {
    for (const { text, file } of BOARDS) {
      const uids = [...text.matchAll(/"uid": "([^"]*)"/g)].map(([, uid]) => uid);
      assert.deepEqual(
        uids.filter((uid) => uid !== '$' + '{datasource}' && !BOARDS.some((board) => board.uid === uid)),
        [],
        file,
      );
      assert.doesNotMatch(text, /https?:|\b\d+\.\d+\.\d+\.\d+\b|localhost|password|token|apiKey/i, file);
    }
  });
});

for (const board of BOARDS) {
  describe(board.uid, () => {
    const queries = queriesOf(board);
    const variables = board.templating.list.map(({ name }) => name);

    test('panels have numbers of their own and do not overlap', () => {
      assert.equal(new Set(board.panels.map(({ id }) => id)).size, board.panels.length);
      const taken = new Map<string, string>();
      for (const { title, gridPos } of board.panels) {
        assert.ok(gridPos.x >= 0 && gridPos.x + gridPos.w <= 24, `${title} leaves the grid`);
        for (const cell of cellsOf(gridPos)) {
          assert.equal(taken.get(cell), undefined, `${title} lies on ${taken.get(cell)} at ${cell}`);
          taken.set(cell, title);
        }
      }
    });

    test('every panel says what it shows, in which unit, with a heading of its own', () => {
      const panels = board.panels.filter(({ type }) => type !== 'row');
      const titles = panels.map(({ title }) => title);
      for (const { title, description = '', fieldConfig, targets = [] } of panels) {
        assert.ok(description.length > 10, `${title}: no description`);
        assert.ok(fieldConfig?.defaults.unit, `${title}: no unit`);
        assert.ok(fieldConfig?.defaults.thresholds, `${title}: no thresholds`);
        assert.ok(targets.length > 0, `${title}: no query`);
      }
      assert.deepEqual(
        titles.filter((title, index) => titles.indexOf(title) !== index && title !== 'Budget left'),
        [],
      );
    });

    test('metrics and labels of every query are those of the daemon and of the rules', () => {
      assert.ok(queries.length > 0);
      for (const { expr, where } of queries) checkNames(expr, where);
      for (const { expr, label, where } of variableQueriesOf(board)) {
        assert.notEqual(expr, '', `${where} is not understood`);
        checkNames(expr, where);
        const [selector] = partsOf(expr).selectors;
        assert.ok(KNOWN.get(selector?.metric ?? '')?.has(label), `${where}: no label ${label}`);
      }
    });

    test('legends and columns name labels that the answer has', () => {
      for (const { expr, where, target, panel } of queries) {
        const labels = answerLabels(expr);
        for (const [, label = ''] of (target.legendFormat ?? '').matchAll(/\{\{(\w+)\}\}/g))
          assert.ok(labels.has(label), `${where}: no label ${label} in the answer`);
        if (panel.type === 'timeseries') assert.notEqual(target.legendFormat ?? '', '', `${where}: no legend`);
      }
      for (const panel of board.panels.filter(({ type }) => type === 'table')) checkColumns(panel);
    });

    test('variables that are used exist, those of links in the dashboard that they lead to', () => {
      for (const { expr, where } of [...queries, ...variableQueriesOf(board)])
        for (const name of variablesOf(expr).filter((used) => !used.startsWith('__')))
          assert.ok(variables.includes(name), `${where}: no variable ${name}`);
      for (const [url, uid = '', rest = ''] of board.text.matchAll(/\/d\/([\w-]+)\?([^"]*)/g)) {
        const to = BOARDS.find((other) => other.uid === uid);
        assert.ok(to, `${url} leads nowhere`);
        for (const [, name = ''] of rest.matchAll(/var-(\w+)=/g))
          assert.ok(
            to.templating.list.some((one) => one.name === name),
            `${url}: ${uid} has no variable ${name}`,
          );
      }
    });

    test('every query is one that Prometheus can read (promtool)', async (t) => {
      const exprs = [...queries, ...variableQueriesOf(board)].map(({ expr, where }) => {
        const full = substituted(expr, VALUES);
        assert.ok(!full.includes('$'), `${where}: ${full}`);
        return full;
      });
      const rules = exprs.map((expr, index) => ({ record: `virtslad_dashboard:query:${index}`, expr }));
      const directory = mkdtempSync(join(tmpdir(), 'virtslad-dashboards-'));
      try {
        const groups = [{ name: board.uid, rules }];
        writeFileSync(join(directory, 'queries.yaml'), JSON.stringify({ groups }));
        const run = await promtool(t, ['check', 'rules', '--lint-fatal', 'queries.yaml'], directory);
        if (run !== null) assert.equal(run.code, 0, run.stdout + run.stderr);
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    });
  });
}

test('the links lead from the fleet to a class and on to a guest', () => {
  const leads = (from: string, to: string): boolean =>
    BOARDS.some(({ uid, text }) => uid === from && text.includes(`/d/${to}?`));
  assert.ok(leads('virtslad-fleet', 'virtslad-class'));
  assert.ok(leads('virtslad-fleet', 'virtslad-guest'));
  assert.ok(leads('virtslad-class', 'virtslad-guest'));
  assert.ok(leads('virtslad-fleet', 'virtslad-daemon'));
});

function* cellsOf({ x, y, w, h }: Panel['gridPos']): Generator<string> {
  for (let column = x; column < x + w; column++) for (let line = y; line < y + h; line++) yield `${column}/${line}`;
}

function checkNames(expr: string, where: string): void {
  const { selectors, grouping } = partsOf(expr);
  assert.ok(selectors.length > 0, `${where} reads nothing`);
  for (const { metric, matchers } of selectors) {
    const labels = KNOWN.get(metric);
    assert.ok(labels, `${where}: there is no ${metric}`);
    for (const label of matchers) assert.ok(labels.has(label), `${where}: ${metric} has no label ${label}`);
  }
  for (const label of grouping)
    assert.ok(
      selectors.some(({ metric }) => KNOWN.get(metric)?.has(label)),
      `${where}: nothing has a label ${label}`,
    );
}

function answerLabels(expr: string): ReadonlySet<string> {
  const { selectors, outer } = partsOf(expr);
  return new Set(outer ?? selectors.flatMap(({ metric }) => [...(KNOWN.get(metric) ?? [])]));
}

/** A column that no query of the table has would silently be missing; so would a field that a link takes a value from. */
function checkColumns(panel: Panel): void {
  const answers = new Set((panel.targets ?? []).flatMap(({ expr }) => [...answerLabels(expr)]));
  const columns = panel.transformations?.flatMap(({ options }) => Object.keys(options.indexByName ?? {})) ?? [];
  const fields = [...JSON.stringify(panel).matchAll(/__data\.fields\.(\w+)/g)].map(([, name = '']) => name);
  for (const name of [...columns.filter((column) => !column.startsWith('Value')), ...fields])
    assert.ok(answers.has(name), `${panel.title}: no query gives ${name}`);
  for (const { instant, format, refId } of panel.targets ?? [])
    assert.deepEqual({ instant, format }, { instant: true, format: 'table' }, `${panel.title}, ${refId}`);
}
