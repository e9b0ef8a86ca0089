/**
 * Counters that only rise, from counters that may start anew: pure. The first reading is taken as it is, for kernel and
 * QEMU count from the start of the instance. When any counter of a reading has gone back, its source is another one by now
 * (a disk or an interface was plugged anew, someone reset a file): all of them go on from there, and nothing is added for
 * the time between. So no rise is ever negative and none is a spike.
 */

/** Names of counters → their values; null: not there. */
export type Counts<T> = { readonly [Name in keyof T]: number | null };

export interface Rising<T extends Counts<T>> {
  readonly reading: T;
  /** Like `reading`; what could not be read is as it was last. */
  readonly marks: T;
  /** What is shown: the marks and what had been counted before it started anew. */
  readonly totals: T;
  readonly before: { readonly [Name in keyof T]: number };
  /** Since the reading before; null when that is not one to compare with. */
  readonly rises: T | null;
}

/** `anew`: it is known to be another source, though no counter has gone back. */
export function rising<T extends Counts<T>>(last: Rising<T> | null, now: T, anew = false): Rising<T> {
  const names = Object.keys(now) as (keyof T)[];
  const each = <V>(value: (name: keyof T) => V): { [Name in keyof T]: V } => {
    const values = {} as { [Name in keyof T]: V };
    for (const name of names) values[name] = value(name);
    return values;
  };
  if (last === null) return { reading: now, marks: now, totals: now, before: each(() => 0), rises: null };
  const marks = each((name) => now[name] ?? last.marks[name]) as T;
  if (anew || names.some((name) => (marks[name] ?? 0) < (last.marks[name] ?? 0))) {
    const before = each((name) => (last.totals[name] ?? 0) - (marks[name] ?? 0));
    return { reading: now, marks, totals: last.totals, before, rises: null };
  }
  const totals = each((name) => {
    const mark = marks[name];
    // Sums of fractions of a second may be a hair lower.
    return mark === null ? null : Math.max(last.totals[name] ?? 0, mark + last.before[name]);
  }) as T;
  const rises = each((name) => {
    const [was, is] = [last.reading[name], now[name]];
    return was === null || is === null ? null : is - was;
  }) as T;
  return { reading: now, marks, totals, before: last.before, rises };
}

/** The rise a second; null where there is no rise. */
export function perSecond(rise: number | null | undefined, elapsedSeconds: number): number | null {
  return rise === null || rise === undefined ? null : rise / elapsedSeconds;
}
