// Panels of the dashboards, in the few shapes that they use. A query is { expr, legend } in a graph or a figure, and a
// column { expr, name, unit, steps } in a table. The data source is always the variable: no dashboard knows a server.
import {
  LegendDisplayMode,
  ReduceDataOptionsBuilder,
  VizLegendOptionsBuilder,
  VizTooltipOptionsBuilder,
} from '@grafana/grafana-foundation-sdk/common';
import { ThresholdsConfigBuilder } from '@grafana/grafana-foundation-sdk/dashboard';
import { DataqueryBuilder, PromQueryFormat } from '@grafana/grafana-foundation-sdk/prometheus';
import * as stat from '@grafana/grafana-foundation-sdk/stat';
import * as table from '@grafana/grafana-foundation-sdk/table';
import * as timeseries from '@grafana/grafana-foundation-sdk/timeseries';

// biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana puts the variable in.
export const DATASOURCE = { type: 'prometheus', uid: '${datasource}' };
export const CORES = 'suffix: cores';

/** Colour → from which value on. The first colour is that of everything below. */
export const STEPS = {
  none: [['text', null]],
  /** Share of an error budget. */
  budget: [
    ['red', null],
    ['orange', 0],
    ['yellow', 0.25],
    ['green', 0.5],
  ],
  /** Burn rate: 1 spends the budget in exactly the window. */
  burn: [
    ['green', null],
    ['yellow', 1],
    ['orange', 6],
    ['red', 14.4],
  ],
  /** Share that should be all. */
  whole: [
    ['red', null],
    ['orange', 0.95],
    ['green', 1],
  ],
  /** Use of a capacity. */
  capacity: [
    ['green', null],
    ['yellow', 0.85],
    ['red', 1],
  ],
  /** 1 is well. */
  yes: [
    ['red', null],
    ['green', 1],
  ],
  /** Anything is too much. */
  no: [
    ['green', null],
    ['red', 0.000001],
  ],
  /** Worth a look, not a fault. */
  some: [
    ['green', null],
    ['yellow', 0.000001],
  ],
};

/** 1 and 0 in words, with their colours. */
export function words(yes, no, good = 1) {
  const color = (value) => (value === good ? 'green' : 'red');
  const options = { 1: { text: yes, color: color(1), index: 0 }, 0: { text: no, color: color(0), index: 1 } };
  return [{ type: 'value', options }];
}

/** Lines over time. `bars` for amounts of each step; `interval`: the shortest step, where readings come in rounds. */
export function graph({
  title,
  description,
  unit,
  queries,
  steps,
  min = 0,
  max,
  interval,
  bars,
  stack,
  links = [],
  repeat,
  width,
  height,
}) {
  const panel = common(new timeseries.PanelBuilder(), { title, description, unit, steps: steps ?? STEPS.none, links })
    .legend(
      new VizLegendOptionsBuilder()
        .displayMode(LegendDisplayMode.Table)
        .placement('bottom')
        .showLegend(true)
        .calcs(['lastNotNull', 'max']),
    )
    .tooltip(new VizTooltipOptionsBuilder().mode('multi').sort('desc'))
    .lineWidth(1)
    .fillOpacity(bars ? 60 : 8)
    .showPoints('auto')
    .spanNulls(false)
    .targets(queries.map(({ expr, legend }, index) => query(expr, index).legendFormat(legend)));
  if (min !== null) panel.min(min);
  if (max !== undefined) panel.max(max);
  if (steps !== undefined) panel.thresholdsStyle({ build: () => ({ mode: 'dashed' }) });
  if (bars) panel.drawStyle('bars');
  if (stack) panel.stacking({ build: () => ({ mode: 'normal', group: 'A' }) });
  if (interval !== undefined) panel.interval(interval);
  if (repeat !== undefined) panel.repeat(repeat).repeatDirection('h').maxPerRow(2);
  return { panel, width: width ?? 12, height: height ?? 8 };
}

/** One figure, or one for each series; of the last moment. `name`: the legend is what counts, not the value. */
export function figure({
  title,
  description,
  unit = 'short',
  expr,
  legend = '',
  steps = STEPS.none,
  mappings,
  name,
  decimals,
  links = [],
  width,
  height,
}) {
  const panel = common(new stat.PanelBuilder(), { title, description, unit, steps, links })
    .colorMode(steps === STEPS.none && mappings === undefined ? 'none' : 'value')
    .graphMode('none')
    .textMode(name ? 'name' : 'auto')
    .reduceOptions(new ReduceDataOptionsBuilder().calcs(['lastNotNull']).fields('').values(false))
    .targets([query(expr, 0).instant().legendFormat(legend)]);
  if (mappings !== undefined) panel.mappings(mappings);
  if (decimals !== undefined) panel.decimals(decimals);
  return { panel, width: width ?? 4, height: height ?? 4 };
}

/**
 * One row for each combination of labels, one column for each query. `labels`: label → title of its column, in order; a
 * label that is there to tell rows apart alone is in `hidden`. Every column can be filtered by search in its heading.
 */
export function list({ title, description, labels, hidden = [], columns, sort, links = {}, width, height }) {
  const several = columns.length > 1;
  const columnField = (index) => (several ? `Value #${refId(index)}` : 'Value');
  const shown = columns.map((column, index) => ({ ...column, field: columnField(index) }));
  const order = [...Object.keys(labels), ...shown.map(({ field }) => field)];
  const excluded = ['Time', ...hidden, ...shown.filter(({ name }) => name === undefined).map(({ field }) => field)];
  const panel = common(new table.PanelBuilder(), { title, description, unit: 'short', steps: STEPS.none, links: [] })
    .filterable(true)
    .targets(columns.map(({ expr }, index) => query(expr, index).instant().format(PromQueryFormat.Table)))
    .transformations([
      { id: 'merge', options: {} },
      {
        id: 'organize',
        options: {
          excludeByName: Object.fromEntries(excluded.map((field) => [field, true])),
          indexByName: Object.fromEntries(order.map((field, index) => [field, index])),
          renameByName: {
            ...labels,
            ...Object.fromEntries(
              shown.filter(({ name }) => name !== undefined).map(({ field, name }) => [field, name]),
            ),
          },
        },
      },
    ])
    .overrides([
      ...Object.entries(links).map(([name, link]) => override(name, { links: [link.build()] })),
      ...shown.filter(({ name }) => name !== undefined).map(columnOverride),
    ]);
  if (sort !== undefined) panel.sortBy([{ build: () => ({ displayName: sort.by, desc: sort.desc === true }) }]);
  return { panel, width: width ?? 24, height: height ?? 10 };
}

/** A link on a value or a cell: `url` may use the variables of Grafana's data links. */
export function link(title, url) {
  return { build: () => ({ title, url }) };
}

function columnOverride({ name, unit = 'short', steps, mappings, decimals }) {
  return override(name, {
    unit,
    ...(decimals === undefined ? {} : { decimals }),
    ...(mappings === undefined ? {} : { mappings }),
    ...(steps === undefined ? {} : { thresholds: thresholds(steps).build() }),
    ...(steps === undefined && mappings === undefined ? {} : { 'custom.cellOptions': { type: 'color-text' } }),
  });
}

function override(name, properties) {
  return {
    matcher: { id: 'byName', options: name },
    properties: Object.entries(properties).map(([id, value]) => ({ id, value })),
  };
}

function common(panel, { title, description, unit, steps, links }) {
  panel.title(title).description(description).datasource(DATASOURCE).unit(unit).thresholds(thresholds(steps));
  return links.length === 0 ? panel : panel.dataLinks(links);
}

function thresholds(steps) {
  return new ThresholdsConfigBuilder().mode('absolute').steps(steps.map(([color, value]) => ({ color, value })));
}

function query(expr, index) {
  return new DataqueryBuilder().datasource(DATASOURCE).expr(expr).refId(refId(index));
}

function refId(index) {
  return String.fromCharCode(65 + index);
}
