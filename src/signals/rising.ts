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
  /** Like `reading`, with what could not be read as it was before. */
  readonly marks: T;
  /** What is shown. */
  readonly totals: T;
  /** Since the reading before; null when that is not one to compare with. */
  readonly rises: T | null;
}

export function rising<T extends Counts<T>>(before: Rising<T> | null, now: T): Rising<T> {
  if (before === null) return { reading: now, marks: now, totals: now, rises: null };
  const names = Object.keys(now) as (keyof T)[];
  const each = (value: (name: keyof T) => number | null): T => {
    const values = {} as Record<keyof T, number | null>;
    for (const name of names) values[name] = value(name);
    return values as T;
  };
  const marks = each((name) => now[name] ?? before.marks[name]);
  const anew = names.some((name) => (marks[name] ?? 0) < (before.marks[name] ?? 0));
  if (anew) return { reading: now, marks, totals: before.totals, rises: null };
  const difference = (from: T, name: keyof T): number | null => {
    const [was, is] = [from[name], now[name]];
    return was === null || is === null ? null : is - was;
  };
  const totals = each((name) => {
    const sum = before.totals[name];
    return sum === null ? now[name] : sum + (difference(before.marks, name) ?? 0);
  });
  return { reading: now, marks, totals, rises: each((name) => difference(before.reading, name)) };
}

/** The rise a second; null where there is no rise. */
export function perSecond(rise: number | null | undefined, elapsedSeconds: number): number | null {
  return rise === null || rise === undefined ? null : rise / elapsedSeconds;
}
