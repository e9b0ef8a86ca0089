/**
 * Checks a cron expression before package cron gets it: five fields, each a list of numbers, names, ranges and steps.
 * Takes the text, gives which days it can fall on or what is wrong, field by field. The package takes more (seconds,
 * presets) and says less when it refuses. Pure.
 */

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const WEEKDAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
/** In a leap year: a schedule on 29 February fires, if seldom. */
const MONTH_LENGTHS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

interface Field {
  readonly name: string;
  readonly low: number;
  readonly high: number;
  /** Names for the numbers from `low` on. */
  readonly names?: readonly string[];
}

const FIELDS: readonly Field[] = [
  { name: 'minute', low: 0, high: 59 },
  { name: 'hour', low: 0, high: 23 },
  { name: 'day of the month', low: 1, high: 31 },
  { name: 'month', low: 1, high: 12, names: MONTHS },
  { name: 'day of the week', low: 0, high: 7, names: WEEKDAYS },
];

/** The numbers that each field names; Sunday is 0, 7 or both. */
export interface CronFields {
  readonly minutes: ReadonlySet<number>;
  readonly hours: ReadonlySet<number>;
  readonly days: ReadonlySet<number>;
  readonly months: ReadonlySet<number>;
  readonly weekdays: ReadonlySet<number>;
}

export type CronCheck =
  | { readonly ok: true; readonly everFires: boolean }
  | { readonly ok: false; readonly reason: string; readonly fix: string };

const HELP = 'write five fields: minute hour day-of-month month day-of-week, as in "0 20 * * 1-5"';

export function checkCron(text: string): CronCheck {
  const parsed = parse(text);
  return parsed.ok ? { ok: true, everFires: fires(parsed.fields) } : parsed;
}

/** The fields of an expression that {@link checkCron} accepts; null for any other. */
export function cronFields(text: string): CronFields | null {
  const parsed = parse(text);
  return parsed.ok ? parsed.fields : null;
}

function parse(
  text: string,
): { readonly ok: true; readonly fields: CronFields } | Extract<CronCheck, { readonly ok: false }> {
  if (text.trim().startsWith('@')) return { ok: false, reason: 'is a preset, which is not accepted', fix: HELP };
  const words = text.trim().split(/\s+/);
  if (words.length !== FIELDS.length) {
    const count = text.trim() === '' ? 'no' : String(words.length);
    return { ok: false, reason: `has ${count} field${count === '1' ? '' : 's'}, not five`, fix: HELP };
  }
  const sets: ReadonlySet<number>[] = [];
  for (const [index, field] of FIELDS.entries()) {
    const parsed = parseField(words[index] as string, field);
    if ('reason' in parsed) return { ok: false, ...parsed };
    sets.push(parsed.values);
  }
  const [minutes, hours, days, months, weekdays] = sets as [Numbers, Numbers, Numbers, Numbers, Numbers];
  return { ok: true, fields: { minutes, hours, days, months, weekdays } };
}

type Numbers = ReadonlySet<number>;

/** Every month has every weekday; a day of the month alone has to exist. */
function fires(fields: CronFields): boolean {
  if (weekdaysRestricted(fields)) return true;
  return [...fields.months].some((month) => [...fields.days].some((day) => day <= (MONTH_LENGTHS[month - 1] ?? 0)));
}

function weekdaysRestricted({ weekdays }: CronFields): boolean {
  return [0, 1, 2, 3, 4, 5, 6].some((day) => !weekdays.has(day) && !(day === 0 && weekdays.has(7)));
}

/** Whether it falls on a day, in days since 1 January 1970. Where both kinds are restricted, either will do (crontab(5)). */
export function fallsOn(fields: CronFields, day: number): boolean {
  const date = new Date(day * 86_400_000);
  if (!fields.months.has(date.getUTCMonth() + 1)) return false;
  const weekday = date.getUTCDay();
  const byDay = fields.days.has(date.getUTCDate());
  if (!weekdaysRestricted(fields)) return byDay;
  const byWeekday = fields.weekdays.has(weekday) || (weekday === 0 && fields.weekdays.has(7));
  return fields.days.size === 31 ? byWeekday : byDay || byWeekday;
}

function parseField(
  text: string,
  field: Field,
): { readonly values: ReadonlySet<number> } | { readonly reason: string; readonly fix: string } {
  const bounds = `the ${field.name} is ${field.low}–${field.high}`;
  const fail = (reason: string, fix: string) => ({ reason: `has ${reason} as the ${field.name}`, fix });
  const values = new Set<number>();
  for (const part of text.split(',')) {
    const match = /^(?:(\*)|(\w+)(?:-(\w+))?)(?:\/(\d{1,4}))?$/.exec(part);
    if (match === null)
      return fail(`"${part}"`, `${bounds}: write *, a number, a range such as ${field.low}-${field.high}, or */2`);
    const step = Number(match[4] ?? 1);
    const first = match[1] === '*' ? field.low : numberOf(match[2] as string, field);
    const lastText = match[3] ?? (match[4] === undefined ? match[2] : undefined);
    const last = match[1] === '*' || lastText === undefined ? field.high : numberOf(lastText, field);
    if (first === null || last === null) return fail(`"${part}"`, namesHelp(bounds, field));
    if (step === 0) return fail(`a step of zero in "${part}"`, 'write a step of 1 or more');
    if (first > last) return fail(`the range "${part}" backwards`, `${bounds}: write ${wrapped(first, last, field)}`);
    for (let value = first; value <= last; value += step) values.add(value);
  }
  return { values };
}

/** A range that runs past the end, in two parts; Sunday is 7 as well as 0. */
function wrapped(first: number, last: number, field: Field): string {
  if (field.names === WEEKDAYS && last === 0) return `${first}-7`;
  const high = field.names === WEEKDAYS ? 6 : field.high;
  const range = (from: number, to: number): string => (from === to ? String(from) : `${from}-${to}`);
  return `${range(first, high)},${range(field.low, last)}`;
}

function namesHelp(bounds: string, field: Field): string {
  return field.names === undefined ? bounds : `${bounds}, or ${field.names.join(', ')}`;
}

function numberOf(text: string, field: Field): number | null {
  if (/^\d{1,4}$/.test(text)) {
    const value = Number(text);
    return value >= field.low && value <= field.high ? value : null;
  }
  const index = field.names?.indexOf(text.toLowerCase()) ?? -1;
  return index < 0 ? null : index + field.low;
}
