/**
 * The wall clock of a time zone: instants (ms since the epoch) to wall time and back, from the runtime's own time zone
 * data (Intl). Wall time is written as the ms of the UTC instant that shows the same digits, so that it can be added to
 * and compared. Pure but for the zone data.
 *
 * Wall clocks are put back once a year, and a schedule must not see an hour twice. So times are compared on the
 * *forward clock*: the highest wall time shown so far. It stands still while a repeated hour runs for the second time
 * and leaps over a gap. For every wall time there is then exactly one instant at which the forward clock reaches it:
 * a time that does not exist is reached when the gap ends, a repeated one at its first showing.
 */

const HOUR_MS = 3_600_000;
/** Further apart than any two changes of one zone that matter together, and wider than any gap (24 h, Samoa 2011). */
const SPAN_MS = 36 * HOUR_MS;

export interface ZoneClock {
  /** What the forward clock shows at an instant. */
  forward(instantMs: number): number;
  /** The first instant at which the forward clock shows the wall time or a later one. */
  instant(wallMs: number): number;
  /** The gap that a wall time falls into, both ends as wall time; null when the wall time exists. */
  gap(wallMs: number): { readonly from: number; readonly to: number } | null;
}

/** Throws RangeError for a name that is not in the time zone database; see {@link isTimeZone}. */
export function zoneClock(timeZone: string): ZoneClock {
  const offset = offsetReader(timeZone);

  /** The instant in (low, high] from which on the offset is that of `high`. */
  const transition = (low: number, high: number): number => {
    const after = offset(high);
    let [before, at] = [low, high];
    while (at - before > 1) {
      const middle = Math.floor((before + at) / 2);
      if (offset(middle) === after) at = middle;
      else before = middle;
    }
    return at;
  };

  const gap: ZoneClock['gap'] = (wallMs) => {
    const low = wallMs - SPAN_MS;
    const high = wallMs + SPAN_MS;
    const [before, after] = [offset(low), offset(high)];
    if (after <= before) return null;
    const at = transition(low, high);
    const [from, to] = [at + before, at + after];
    return from <= wallMs && wallMs < to ? { from, to } : null;
  };

  return {
    gap,
    forward(instantMs) {
      const now = offset(instantMs);
      const earlier = offset(instantMs - 24 * HOUR_MS);
      if (earlier <= now) return instantMs + now;
      const putBackAt = transition(instantMs - 24 * HOUR_MS, instantMs);
      return Math.max(instantMs + now, putBackAt + earlier - 1);
    },
    instant(wallMs) {
      const found = gap(wallMs);
      if (found !== null) return transition(wallMs - SPAN_MS, wallMs + SPAN_MS);
      const candidates = [offset(wallMs - SPAN_MS), offset(wallMs + SPAN_MS)].map((ms) => wallMs - ms);
      const showing = candidates.filter((instantMs) => instantMs + offset(instantMs) === wallMs);
      return Math.min(...(showing.length > 0 ? showing : candidates));
    },
  };
}

/** Whether the name is one of the IANA time zone database; plain offsets such as +02:00 are not. */
export function isTimeZone(name: string): boolean {
  if (!/^[A-Za-z][A-Za-z0-9_+-]*(?:\/[A-Za-z0-9_+-]+)*$/.test(name)) return false;
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/** Wall time minus instant, in ms. UTC is answered without asking. */
function offsetReader(timeZone: string): (instantMs: number) => number {
  if (timeZone === 'UTC') return () => 0;
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  return (instantMs) => {
    const wholeSecond = Math.floor(instantMs / 1000) * 1000;
    const [month = 0, day = 0, year = 0, hour = 0, minute = 0, second = 0] = (
      format.format(wholeSecond).match(/\d+/g) ?? []
    ).map(Number);
    return Date.UTC(year, month - 1, day, hour, minute, second) - wholeSecond;
  };
}
