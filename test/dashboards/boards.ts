/** The committed dashboards as the tests see them, and what may be asked of Prometheus: families of the code and rules. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { CONTROLS } from '../../src/controls/registry.js';
import { daemonFamilies } from '../../src/metrics/daemon-families.js';
import { domainFamilies } from '../../src/metrics/domain-families.js';
import { DOMAIN_LABELS } from '../../src/metrics/family.js';
import { OWN_FAMILIES, RECONCILE_DURATION } from '../../src/metrics/own-families.js';
import { ROOT } from '../support/paths.js';
import { partsOf } from './promql.js';

export interface Target {
  readonly expr: string;
  readonly refId: string;
  readonly instant?: boolean;
  readonly format?: string;
  readonly legendFormat?: string;
  readonly datasource: { readonly uid: string };
}

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly datasource?: { readonly uid: string };
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly Target[];
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string; readonly thresholds?: object } };
  readonly transformations?: readonly { readonly options: { readonly indexByName?: Record<string, number> } }[];
}

export interface Variable {
  readonly name: string;
  readonly type: string;
  readonly query: string | { readonly query: string };
}

export interface Board {
  readonly file: string;
  readonly text: string;
  readonly uid: string;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly Variable[] };
}

const DIRECTORY = 'dashboards/grafana';

export const BOARDS: readonly Board[] = readdirSync(join(ROOT, DIRECTORY))
  .filter((name) => name.endsWith('.json'))
  .sort()
  .map((name) => {
    const text = readFileSync(join(ROOT, DIRECTORY, name), 'utf8');
    return { ...(JSON.parse(text) as Board), file: `${DIRECTORY}/${name}`, text };
  });

export interface Query {
  readonly expr: string;
  /** Board, panel and letter, for the words of a failure. */
  readonly where: string;
  readonly panel: Panel;
  readonly target: Target;
}

export function queriesOf({ uid, panels }: Board): readonly Query[] {
  return panels.flatMap((panel) =>
    (panel.targets ?? []).map((target) => ({
      expr: target.expr,
      where: `${uid}, ${panel.title}, ${target.refId}`,
      panel,
      target,
    })),
  );
}

/** Queries of variables: `label_values(SELECTOR, LABEL)`. */
export function variableQueriesOf({
  uid,
  templating,
}: Board): readonly { where: string; expr: string; label: string }[] {
  return templating.list
    .filter(({ type }) => type === 'query')
    .map(({ name, query }) => {
      const text = typeof query === 'string' ? query : query.query;
      const [, expr = '', label = ''] = /^label_values\((.*), (\w+)\)$/.exec(text) ?? [];
      return { where: `${uid}, variable ${name}: ${text}`, expr, label };
    });
}

interface Rule {
  readonly record?: string;
  readonly expr: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** Metric → its labels, those that Prometheus adds included. */
export function knownMetrics(): ReadonlyMap<string, ReadonlySet<string>> {
  const known = new Map<string, ReadonlySet<string>>();
  const add = (name: string, labels: readonly string[]): void => {
    known.set(name, new Set([...labels, ...(known.get(name) ?? [])]));
  };
  const scraped = ['instance', 'job'];
  add('up', scraped);
  for (const { name, labels } of domainFamilies(CONTROLS)) add(name, [...scraped, ...DOMAIN_LABELS, ...labels]);
  for (const { name, labels } of [...daemonFamilies(CONTROLS), ...OWN_FAMILIES]) add(name, [...scraped, ...labels]);
  for (const suffix of ['_bucket', '_sum', '_count'])
    add(RECONCILE_DURATION.name + suffix, [
      ...scraped,
      ...RECONCILE_DURATION.labels,
      ...(suffix === '_bucket' ? ['le'] : []),
    ]);
  for (const { record, expr, labels } of recordedRules()) {
    if (record === undefined) continue;
    const kept = expr.startsWith('sum without (result)')
      ? partsOf(expr).selectors.flatMap(({ metric }) => [...(known.get(metric) ?? [])])
      : [];
    add(record, [...Object.keys(labels ?? {}), ...kept.filter((label) => label !== 'result')]);
  }
  return known;
}

function recordedRules(): readonly Rule[] {
  const text = readFileSync(join(ROOT, 'dashboards/rules/virtslad.yaml'), 'utf8');
  return (parse(text) as { groups: { rules: Rule[] }[] }).groups.flatMap(({ rules }) => rules);
}
