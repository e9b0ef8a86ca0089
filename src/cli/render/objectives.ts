/** The objectives of a guest or of all classes in words: what is promised, what is left of the error budget, how fast it goes. */

import type { ClassObjectiveState, ObjectiveState } from '../../slo/budget-states.js';
import type { Snapshot } from '../../snapshot/types.js';
import { printable } from '../../text/printable.js';
import { formatPercent } from '../../units.js';
import type { Row } from './domain.js';
import type { Paint, Style } from './style.js';
import { plural, someOf, span } from './words.js';

type State = ObjectiveState | ClassObjectiveState;

/** For `status DOMAIN` and `explain`: a line an objective. */
export function objectiveRows(objectives: readonly ObjectiveState[], style: Style): Row[] {
  return objectives.map((state) => ['objective', `${promised(state)}: ${standing(state)}`, paintOf(state, style)]);
}

const MOST_ROWS = 5;

/** For `status`: the objectives of classes that have lost some of their budget, the worst first; those that have not as a number. */
export function classRows({ serviceLevels: { classes, maintenance, store } }: Snapshot, style: Style): Row[] {
  const spent = classes.filter(({ totals }) => totals.bad > 0).sort((a, b) => a.remainingRatio - b.remainingRatio);
  const rows = spent.slice(0, MOST_ROWS).map((state): Row => {
    const whose = `${state.className}, ${plural(state.guests, 'guest')}`;
    return ['objective', `${whose}: ${promised(state)}: ${standing(state)}`, paintOf(state, style)];
  });
  if (spent.length > MOST_ROWS) rows.push(['', `and ${spent.length - MOST_ROWS} more that have lost some of theirs`]);
  const whole = classes.length - spent.length;
  if (whole > 0) rows.push(['objectives', `${whole} of ${classes.length} have no bad time in their window`]);
  const open = maintenance.filter((window) => window.open).map(({ name }) => name);
  if (open.length > 0) rows.push(['maintenance', `${someOf(open)}: counts neither as good nor as bad`, style.yellow]);
  if (store?.error != null) rows.push(['history', `of error budgets: ${printable(store.error, 512)}`, style.red]);
  return rows;
}

function promised({ sli, of, window, windowSeconds }: State): string {
  const over = window.kind === 'month' ? 'the month' : span(windowSeconds * 1000);
  return `${sli} ${formatPercent(of)} of ${over}`;
}

function standing({ totals, remainingRatio, burnRates }: State): string {
  const known = totals.good + totals.bad;
  if (known === 0) return 'nothing is known of it yet';
  const left = remainingRatio < 0 ? `overspent by ${percent(-remainingRatio)}` : `${percent(remainingRatio)} left`;
  const bad = totals.bad === 0 ? 'no bad time' : `${span(totals.bad * 1000)} bad of ${span(known * 1000)}`;
  const burn = burnRates['1h'];
  const speed = burn === null || burn === 0 ? '' : `, burning at ${burn.toFixed(1)} times its pace in the last hour`;
  const unknown = totals.unknown < 60 ? '' : `, ${span(totals.unknown * 1000)} unknown`;
  return `error budget ${left}, ${bad}${speed}${unknown}`;
}

function paintOf({ remainingRatio, burnRates }: State, style: Style): Paint | undefined {
  if (remainingRatio <= 0) return style.red;
  return (burnRates['1h'] ?? 0) > 1 ? style.yellow : undefined;
}

/** 0.9995 → `99.95%` */
function percent(ratio: number): string {
  return `${Number((ratio * 100).toFixed(ratio > 0.99 && ratio < 1 ? 4 : 1))}%`;
}
