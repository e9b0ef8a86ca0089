/**
 * The objectives of a class: which SLI, what bound makes a slice good, what share of slices must be good, over which
 * window. Syntax tree in, {@link Objective}s out; each SLI takes the bound that {@link SLIS} says and no other.
 */
import { formatPosition } from '../errors.js';
import { KEPT_DAYS } from '../slo/windows.js';
import { entryOf, type MapNode, type PolicyNode, quoted } from './ast.js';
import { didYouMean, type Findings } from './findings.js';
import { asList, asMap, knownKeys, readValue, required } from './read.js';
import { isSli, OBJECTIVE_KEYS, SLIS, type SliName } from './schema.js';
import type { KeyPath, Objective, Sourced } from './types.js';
import { duration, leafType, objectiveShare, percent } from './value-types.js';

const EXAMPLE = '- { sli: cpu.delivered, at-least: 95%, of: 99.9%, window: 30d }';
const latency = duration('10us', '60s');
/** Error budgets are kept for so long; see the budget store. */
const LONGEST_WINDOW = `${KEPT_DAYS}d`;
const rollingWindow = duration('1m', LONGEST_WINDOW);

/** `month` is the calendar month; any other window rolls. */
export const objectiveWindow = leafType<Objective['window']>(
  (input) => {
    if (input === 'month') return { ok: true, value: { kind: 'month' } };
    const rolling = rollingWindow.safeParse(input);
    if (rolling.success) return { ok: true, value: { kind: 'rolling', seconds: rolling.data } };
    const issue = rolling.error.issues[0];
    const range = issue?.code === 'custom' && issue.params?.problem === 'POLICY_VALUE_RANGE';
    const refusal = {
      ok: false,
      reason: issue?.message ?? '',
      fix: `write month, or a duration from 1m to ${LONGEST_WINDOW} such as 30d: history is kept for that long`,
    } as const;
    return range ? { ...refusal, range } : refusal;
  },
  { anyOf: [{ const: 'month' }, { type: 'string', pattern: '^\\d+(\\.\\d+)? *(s|m|h|d)$' }] },
);

/** `values` are the keys of the class: its disk.latency is the default bound of that objective. */
export function readObjectives(
  node: PolicyNode | undefined,
  values: ReadonlyMap<KeyPath, Sourced>,
  findings: Findings,
): readonly Objective[] {
  if (node === undefined) return [];
  const objectives: Objective[] = [];
  for (const item of asList(node, 'objectives', EXAMPLE, findings)) {
    const map = asMap(item, 'an objective', EXAMPLE, findings);
    const objective = map && readObjective(map, values, findings);
    if (objective === undefined) continue;
    const twin = objectives.find(({ sli }) => sli === objective.sli);
    if (twin === undefined) objectives.push(objective);
    else {
      const message = `the class has two objectives on ${objective.sli}, the first at ${formatPosition(twin.source)}`;
      findings.error('POLICY_OBJECTIVE', objective.source, message, 'remove one of the two');
    }
  }
  return objectives;
}

function readObjective(map: MapNode, values: ReadonlyMap<KeyPath, Sourced>, findings: Findings): Objective | undefined {
  knownKeys(map, OBJECTIVE_KEYS, 'an objective', findings);
  const sli = readSli(map, findings);
  const ofEntry = required(map, 'of', 'the objective', '99.9%', findings);
  const windowEntry = required(map, 'window', 'the objective', '30d', findings);
  const of = ofEntry && readValue(ofEntry.value, objectiveShare, 'of', findings);
  const window = windowEntry && readValue(windowEntry.value, objectiveWindow, 'window', findings);
  if (sli === undefined) return undefined;
  const bound = readBound(sli, map, values, findings);
  if (of === undefined || window === undefined || bound === undefined) return undefined;
  return { sli, ...bound, of, window, source: map.position };
}

function readSli(map: MapNode, findings: Findings): SliName | undefined {
  const entry = required(map, 'sli', 'the objective', 'cpu.delivered', findings);
  if (entry === undefined || entry.value.kind === 'refused') return undefined;
  const name = entry.value.kind === 'scalar' ? entry.value.text : '';
  if (isSli(name)) return name;
  const message = name === '' ? 'sli has no name of an SLI' : `there is no SLI ${quoted(name)}`;
  findings.error('POLICY_OBJECTIVE', entry.value.position, message, didYouMean(name, Object.keys(SLIS), 'SLIs'));
  return undefined;
}

type Bound = Pick<Objective, 'atLeast' | 'atMost'>;

function readBound(
  sli: SliName,
  map: MapNode,
  values: ReadonlyMap<KeyPath, Sourced>,
  findings: Findings,
): Bound | undefined {
  const kind = SLIS[sli];
  const atLeast = entryOf(map, 'at-least');
  const atMost = entryOf(map, 'at-most');
  const surplus = kind === 'at-least' ? atMost : kind === 'none' ? (atLeast ?? atMost) : atLeast;
  if (surplus !== undefined) {
    const fix = kind === 'none' ? 'remove it' : `write ${kind === 'at-least' ? 'at-least' : 'at-most'} instead`;
    findings.error('POLICY_OBJECTIVE', surplus.keyPosition, `the SLI ${sli} takes no ${surplus.key}`, fix);
    return undefined;
  }
  if (kind === 'none') return {};
  if (kind === 'at-least') {
    const value = atLeast && readValue(atLeast.value, percent, 'at-least', findings);
    if (atLeast === undefined) missing(sli, 'at-least', '95%', map, findings);
    return value === undefined ? undefined : { atLeast: value };
  }
  if (kind === 'at-most-share') {
    const value = atMost && readValue(atMost.value, percent, 'at-most', findings);
    if (atMost === undefined) missing(sli, 'at-most', '5%', map, findings);
    return value === undefined ? undefined : { atMost: value };
  }
  if (atMost !== undefined) {
    const seconds = readValue(atMost.value, latency, 'at-most', findings);
    return seconds === undefined ? undefined : { atMost: { seconds } };
  }
  const classBound = values.get('disk.latency')?.value;
  if (typeof classBound === 'number') return { atMost: { seconds: classBound } };
  missing(sli, 'at-most', '10ms, or disk.latency to the class', map, findings);
  return undefined;
}

function missing(sli: SliName, key: string, example: string, map: MapNode, findings: Findings): void {
  findings.error('POLICY_OBJECTIVE', map.position, `the SLI ${sli} needs ${key}`, `add ${key}: ${example}`);
}
