/**
 * As much of PromQL as the tests of the dashboards need: which metrics a query reads, by which labels it chooses and groups.
 * Whether it is well formed is promtool's to say.
 */

export interface Selector {
  readonly metric: string;
  readonly matchers: readonly string[];
}

export interface QueryParts {
  readonly selectors: readonly Selector[];
  /** Labels of `by (…)`, `on (…)` and their kind. */
  readonly grouping: readonly string[];
  /** Those of the outermost aggregation, which are all that its answer has; null: the labels of the series themselves. */
  readonly outer: readonly string[] | null;
}

const GROUPING = /\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g;
const OUTER = /^\w+ ?(?:by \(([^)]*)\) )?\((?:.|\n)*\)$/;
const KEYWORDS = new Set(['and', 'or', 'unless', 'bool', 'offset', 'Inf']);
const AGGREGATIONS = /^(?:sum|min|max|avg|count)\b/;

export function partsOf(query: string): QueryParts {
  const grouping = [...query.matchAll(GROUPING)].flatMap(([, list = '']) => namesOf(list));
  const bare = query.replace(GROUPING, ' ').replace(/\[[^\]]*\]/g, ' ');
  const selectors = [
    ...bare.matchAll(/(?<![\w.])([a-zA-Z_:][\w:]*)\s*(\{(?:[^}"]|"(?:[^"\\]|\\.)*")*\}|\()?/g),
  ].flatMap(([, metric = '', tail = '']) =>
    tail === '(' || KEYWORDS.has(metric) ? [] : [{ metric, matchers: matchersOf(tail) }],
  );
  const first = AGGREGATIONS.test(query) && !/\) (?:and|or) /.test(query) ? OUTER.exec(query) : null;
  return { selectors, grouping, outer: first === null ? null : namesOf(first[1] ?? '') };
}

/** Grafana's variables with something that Prometheus understands in their place. */
export function substituted(query: string, values: Readonly<Record<string, string>>): string {
  return query.replace(/\$(\w+)/g, (whole, name: string) => values[name] ?? whole);
}

export function variablesOf(text: string): readonly string[] {
  return [...text.matchAll(/\$(?:\{(\w+)[^}]*\}|(\w+))/g)].map(([, braced, bare]) => braced ?? bare ?? '');
}

function namesOf(list: string): readonly string[] {
  return list
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

function matchersOf(braces: string): readonly string[] {
  return [...braces.replace(/"(?:[^"\\]|\\.)*"/g, '""').matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(
    ([, label = '']) => label,
  );
}
