/**
 * What schedules and maintenance windows have in common: name, cron expression, length and time zone. Syntax tree in,
 * checked values out.
 */
import { entryOf, type MapNode, type PolicyNode, quoted } from './ast.js';
import { checkCron } from './cron-fields.js';
import { type Findings, meant } from './findings.js';
import { readValue, required } from './read.js';
import { SCHEDULE_NAME } from './schema.js';
import type { CalendarWindow } from './types.js';
import { duration } from './value-types.js';
import { isTimeZone } from './zone.js';

export type WindowKind = 'schedule' | 'maintenance window';

/** As far as it could be read; what is missing has been told. */
export type ReadWindow = { readonly [K in keyof CalendarWindow]: CalendarWindow[K] | undefined };

const EXAMPLES: Readonly<Record<WindowKind, { readonly name: string; readonly cron: string; readonly for: string }>> = {
  schedule: { name: 'nights', cron: '"0 20 * * 1-5"', for: '10h' },
  'maintenance window': { name: 'patch-day', cron: '"0 2 * * sun"', for: '2h' },
};

/** Shorter than a cycle is of no use, longer than a year never closes. */
export const windowLength = duration('1s', '366d');

export function readWindow(map: MapNode, kind: WindowKind, findings: Findings): ReadWindow {
  const example = EXAMPLES[kind];
  const name = required(map, 'name', `the ${kind}`, example.name, findings);
  const cron = required(map, 'cron', `the ${kind}`, example.cron, findings);
  const length = required(map, 'for', `the ${kind}`, example.for, findings);
  const zone = entryOf(map, 'timezone');
  return {
    name: name && readName(name.value, kind, findings),
    cron: cron && readCron(cron.value, kind, findings),
    forSeconds: length && readValue(length.value, windowLength, 'for', findings),
    timezone: zone === undefined ? 'UTC' : readZone(zone.value, findings),
  };
}

export function isWhole(window: ReadWindow): window is CalendarWindow {
  return Object.values(window).every((value) => value !== undefined);
}

/** The text of a single value that has to be text; YAML reads 10 and true as something else. */
function readText(node: PolicyNode, key: string, example: string, findings: Findings): string | undefined {
  if (node.kind === 'scalar' && typeof node.value === 'string' && node.value !== '') return node.value;
  if (node.kind === 'refused') return undefined;
  const shown = node.kind === 'scalar' && node.value !== null ? ` ${quoted(node.text)} is not text` : ' is not text';
  findings.error('POLICY_VALUE_SYNTAX', node.position, `${key}${shown}`, `write ${key}: ${example}`);
  return undefined;
}

function readName(node: PolicyNode, kind: WindowKind, findings: Findings): string | undefined {
  const name = readText(node, 'name', EXAMPLES[kind].name, findings);
  if (name === undefined || SCHEDULE_NAME.test(name)) return name;
  const fix = 'write 1 to 64 letters, digits, ".", "_" or "-", the first a letter or digit';
  findings.error('POLICY_VALUE_SYNTAX', node.position, `${quoted(name)} is not a name for a ${kind}`, fix);
  return undefined;
}

function readCron(node: PolicyNode, kind: WindowKind, findings: Findings): string | undefined {
  const text = readText(node, 'cron', EXAMPLES[kind].cron, findings);
  if (text === undefined) return undefined;
  const check = checkCron(text);
  if (!check.ok) {
    findings.error('POLICY_SCHEDULE_CRON', node.position, `cron ${quoted(text)} ${check.reason}`, check.fix);
    return undefined;
  }
  if (!check.everFires) {
    const fix = 'no month it names has such a day; correct the day of the month or the month';
    findings.error('POLICY_SCHEDULE_NEVER', node.position, `cron ${quoted(text)} never fires`, fix);
    return undefined;
  }
  return text.trim();
}

function readZone(node: PolicyNode, findings: Findings): string | undefined {
  const name = readText(node, 'timezone', 'Europe/Berlin', findings);
  if (name === undefined || isTimeZone(name)) return name;
  const near = meant(name, ['UTC', ...Intl.supportedValuesOf('timeZone')]);
  const fix =
    near === null ? 'write a name such as Europe/Berlin, or leave it out for UTC' : `did you mean ${quoted(near)}?`;
  findings.error('POLICY_SCHEDULE_TIMEZONE', node.position, `there is no time zone ${quoted(name)}`, fix);
  return undefined;
}
