/**
 * Schedule windows against a clock that walks minute by minute: which are open and when that changes, over the days on
 * which clocks are put forward and back. The oracle shares no code with the implementation.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { effectiveClass } from '../../src/policy/effective.js';
import { makeScheduler, nextBoundary, openSchedules } from '../../src/policy/schedule.js';
import type { Schedule } from '../../src/policy/types.js';
import { generationOf } from './compiled.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

function schedule(cron: string, forSeconds: number, timezone = 'UTC', name = 's'): Schedule {
  return { name, cron, forSeconds, timezone, set: [], source: { file: 'p.yaml', line: 1, column: 1 } };
}

function utc(text: string): number {
  return Date.parse(`${text}Z`);
}

/** One cron field as a set, by the rules of crontab(5); only what the generators below produce. */
function fieldSet(text: string, low: number, high: number): Set<number> {
  const values = new Set<number>();
  for (const part of text.split(',')) {
    const [range = '', step = '1'] = part.split('/');
    const [first = low, last = range === '*' ? high : first] =
      range === '*' ? [low, high] : range.split('-').map(Number);
    for (let value = first; value <= last; value += Number(step)) values.add(value);
  }
  return values;
}

/** Whether a wall time, as the ms of the UTC instant with the same digits, is one that cron names. */
function cronMatcher(cron: string): (wallMs: number) => boolean {
  const [minute = '', hour = '', day = '', month = '', weekday = ''] = cron.split(' ');
  const minutes = fieldSet(minute, 0, 59);
  const hours = fieldSet(hour, 0, 23);
  const days = fieldSet(day, 1, 31);
  const months = fieldSet(month, 1, 12);
  const weekdays = new Set([...fieldSet(weekday, 0, 6)].map((value) => value % 7));
  return (wallMs) => {
    const date = new Date(wallMs);
    if (!minutes.has(date.getUTCMinutes()) || !hours.has(date.getUTCHours())) return false;
    if (!months.has(date.getUTCMonth() + 1)) return false;
    const byDay = days.has(date.getUTCDate());
    const byWeekday = weekdays.has(date.getUTCDay());
    const restricted = [days.size < 31, weekdays.size < 7];
    return restricted[0] && restricted[1] ? byDay || byWeekday : byDay && byWeekday;
  };
}

/** What the zone's clocks show each minute, as in {@link cronMatcher}. */
function wallClock(timezone: string): (instantMs: number) => number {
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone: timezone, dateStyle: 'short', timeStyle: 'medium' });
  return (instantMs) => Date.parse(`${format.format(instantMs).replace(' ', 'T')}Z`);
}

/**
 * Open or not at each minute of [from, to), by walking a clock that never goes back: each minute that it newly shows, or
 * leaps over, may start a window, which then stays open until the clock shows `for` more. The walk begins early enough
 * for every window that can still be open.
 */
function walk(one: Schedule, from: number, to: number): boolean[] {
  const matches = cronMatcher(one.cron);
  const clock = wallClock(one.timezone);
  const open: boolean[] = [];
  let shown = Number.NEGATIVE_INFINITY;
  let closesAt = Number.NEGATIVE_INFINITY;
  for (let now = from - one.forSeconds * 1000 - 3 * HOUR; now < to; now += MINUTE) {
    const wall = clock(now);
    if (wall > shown) {
      for (let minute = Math.max(shown + MINUTE, wall - 2 * HOUR); minute <= wall; minute += MINUTE) {
        if (shown !== Number.NEGATIVE_INFINITY ? matches(minute) : minute === wall && matches(minute)) {
          closesAt = wall + one.forSeconds * 1000;
        }
      }
      shown = wall;
    }
    if (now >= from) open.push(shown < closesAt);
  }
  return open;
}

/** Compares every minute of a span, and checks that the boundaries are where the state changes and nowhere else. */
function compare(one: Schedule, from: number, to: number): void {
  const scheduler = makeScheduler([one]);
  const expected = walk(one, from, to);
  const label = (at: number): string =>
    `${one.cron} for ${one.forSeconds}s ${one.timezone} at ${new Date(at).toISOString()}`;
  for (const [index, open] of expected.entries()) {
    const now = from + index * MINUTE;
    // A fresh scheduler now and then: the state must not depend on what was asked before.
    const asked = index % 97 === 0 ? makeScheduler([one]) : scheduler;
    assert.equal(asked.open(now).length === 1, open, label(now));
  }
  let at = from;
  for (
    let boundary = scheduler.nextBoundary(at);
    boundary !== null && boundary < to;
    boundary = scheduler.nextBoundary(at)
  ) {
    assert.ok(boundary > at, label(at));
    const index = (boundary - from) / MINUTE;
    for (let i = Math.ceil((at - from) / MINUTE); i < index; i++) {
      assert.equal(
        expected[i],
        expected[Math.ceil((at - from) / MINUTE)],
        `${label(from + i * MINUTE)}: changed before the boundary`,
      );
    }
    if (Number.isInteger(index) && index > 0 && expected[index] === expected[index - 1]) {
      // Allowed is only to look again in the middle of a long row of windows that touch.
      assert.ok(index >= 32 && expected.slice(index - 32, index).every(Boolean), `${label(boundary)}: nothing changed`);
    }
    at = boundary;
  }
}

/** zone, and days around which its clocks change */
const CHANGES: readonly (readonly [zone: string, day: string])[] = [
  ['Europe/Berlin', '2026-03-29'],
  ['Europe/Berlin', '2026-10-25'],
  ['America/New_York', '2027-03-14'],
  ['America/New_York', '2026-11-01'],
  ['Australia/Lord_Howe', '2026-10-04'],
  ['Australia/Lord_Howe', '2027-04-04'],
  ['America/Santiago', '2026-09-06'], // at midnight
  ['America/Santiago', '2027-04-04'],
  ['UTC', '2026-12-31'],
  ['Asia/Kathmandu', '2027-01-01'],
];

describe('a schedule on the days that clocks change', () => {
  const crons: readonly (readonly [cron: string, forSeconds: number])[] = [
    ['0 20 * * *', 10 * 3600],
    ['30 2 * * *', 1800],
    ['30 2 * * *', 3600],
    ['15 2 * * *', 600],
    ['45 1 * * *', 3600],
    ['0 2 * * *', 3600],
    ['0 3 * * *', 3600],
    ['0 0 * * *', 86_400],
    ['0 * * * *', 1800],
    ['*/20 * * * *', 1200],
    ['*/15 1-3 * * *', 300],
    ['0 12 * * 1', 3 * 86_400],
  ];
  for (const [zone, day] of CHANGES) {
    it(`${zone}, ${day}`, () => {
      for (const [cron, forSeconds] of crons) {
        compare(schedule(cron, forSeconds, zone), utc(`${day}T00:00`) - 8 * HOUR, utc(`${day}T00:00`) + 30 * HOUR);
      }
    });
  }

  it('any, against the walking clock', () => {
    const field = (low: number, high: number): fc.Arbitrary<string> =>
      fc.oneof(
        { weight: 2, arbitrary: fc.constant('*') },
        { weight: 3, arbitrary: fc.integer({ min: low, max: high }).map(String) },
        { weight: 1, arbitrary: fc.integer({ min: 2, max: 20 }).map((step) => `*/${step}`) },
        {
          weight: 1,
          arbitrary: fc
            .tuple(fc.integer({ min: low, max: high }), fc.integer({ min: low, max: high }))
            .map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`),
        },
      );
    const cron = fc
      .tuple(field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6))
      .map((fields) => fields.join(' '));
    const minutes = fc.oneof(fc.integer({ min: 1, max: 180 }), fc.integer({ min: 1, max: 3000 }));
    fc.assert(
      fc.property(
        cron,
        minutes,
        fc.constantFrom(...CHANGES),
        fc.integer({ min: -30, max: 20 }),
        (text, length, [zone, day], hours) => {
          const from = utc(`${day}T00:00`) + hours * HOUR;
          compare(schedule(text, length * 60, zone), from, from + 12 * HOUR);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('a window', () => {
  const berlin = (cron: string, forSeconds: number) => makeScheduler([schedule(cron, forSeconds, 'Europe/Berlin')]);

  it('ends at the same wall time in the night of the change', () => {
    const nights = berlin('0 20 * * *', 10 * 3600);
    assert.equal(nights.nextBoundary(utc('2026-10-24T20:00')), utc('2026-10-25T05:00')); // 06:00 CET: 11 hours
    assert.equal(nights.nextBoundary(utc('2026-03-28T20:00')), utc('2026-03-29T04:00')); // 06:00 CEST: 9 hours
  });

  it('whose start does not exist opens when the gap ends, with its whole length', () => {
    const early = berlin('30 2 * * *', 1800);
    assert.equal(early.nextBoundary(utc('2026-03-29T00:00')), utc('2026-03-29T01:00')); // 03:00 CEST
    assert.equal(early.nextBoundary(utc('2026-03-29T01:00')), utc('2026-03-29T01:30'));
  });

  it('in a repeated hour opens once', () => {
    const early = berlin('30 2 * * *', 900);
    assert.equal(early.nextBoundary(utc('2026-10-24T12:00')), utc('2026-10-25T00:30')); // 02:30 CEST
    assert.equal(early.nextBoundary(utc('2026-10-25T00:30')), utc('2026-10-25T00:45'));
    assert.equal(early.nextBoundary(utc('2026-10-25T00:45')), utc('2026-10-26T01:30')); // not at 02:30 CET
  });

  it('is found open by whoever starts inside it', () => {
    const once = schedule('0 0 1 12 *', 31 * 86_400);
    assert.equal(makeScheduler([once]).open(utc('2026-12-31T23:59')).length, 1);
    assert.equal(makeScheduler([once]).open(utc('2027-01-01T00:00')).length, 0);
    assert.equal(makeScheduler([once]).open(utc('2026-11-30T23:59:59.999')).length, 0);
  });

  it('is half open to the millisecond', () => {
    const short = makeScheduler([schedule('0 12 * * *', 90)]);
    const states = ['11:59:59.999', '12:00:00.000', '12:01:29.999', '12:01:30.000'].map(
      (time) => short.open(utc(`2026-06-01T${time}`)).length,
    );
    assert.deepEqual(states, [0, 1, 1, 0]);
    assert.equal(short.nextBoundary(utc('2026-06-01T12:00:00.001')), utc('2026-06-01T12:01:30'));
  });

  it('that touches the next one does not close between', () => {
    const hourly = makeScheduler([schedule('0 8-11 * * *', 3600)]);
    assert.equal(hourly.nextBoundary(utc('2026-06-01T08:30')), utc('2026-06-01T12:00'));
  });

  it('that never closes gives a time to look again', () => {
    const always = makeScheduler([schedule('* * * * *', 60)]);
    const now = utc('2026-06-01T08:30');
    const boundary = always.nextBoundary(now) ?? assert.fail();
    assert.ok(boundary > now);
    assert.equal(always.open(boundary).length, 1);
  });

  it('on 29 February is found years ahead', () => {
    const leap = makeScheduler([schedule('0 0 29 2 *', 3600)]);
    assert.equal(leap.nextBoundary(utc('2026-06-01T00:00')), utc('2028-02-29T00:00'));
  });

  it('does not depend on a clock that was set back', () => {
    const scheduler = makeScheduler([schedule('0 12 * * *', 3600)]);
    assert.equal(scheduler.open(utc('2026-06-01T12:30')).length, 1);
    assert.equal(scheduler.open(utc('2026-06-01T11:30')).length, 0);
    assert.equal(scheduler.open(utc('2026-06-01T12:30')).length, 1);
  });
});

describe('schedules of a generation', () => {
  const generation = generationOf(`version: 1
classes:
  bronze: { cpu: { guarantee: 10%, limit: 20% } }
  gold: { cpu: { limit: 90% } }
assignments:
  - { class: gold, match: { name: g } }
  - { class: bronze, match: { any: true } }
schedules:
  - { name: first, cron: "0 20 * * *", for: 10h, set: { bronze.cpu.limit: 100%, bronze.cpu.weight: 50 } }
  - { name: second, cron: "0 22 * * *", for: 2h, set: { bronze.cpu.limit: 60%, gold.cpu.weight: 9000 } }
`);
  const [gold, bronze] = generation.assignments;
  const at = (time: string) => effectiveClass(generation, bronze ?? assert.fail(), utc(`2026-06-01T${time}`));
  const limit = (time: string): string | undefined => at(time).values.get('cpu.limit')?.text;

  it('lay their values over the class, the later winning key by key', () => {
    assert.deepEqual([limit('19:59'), limit('20:00'), limit('22:00'), limit('23:59')], ['20%', '100%', '60%', '60%']);
    assert.equal(at('22:30').values.get('cpu.weight')?.text, '50');
    assert.equal(at('22:30').values.get('cpu.weight')?.schedule, 'first');
    assert.equal(at('22:30').values.get('cpu.limit')?.schedule, 'second');
    assert.equal(at('22:30').values.get('cpu.guarantee')?.schedule, undefined);
    assert.deepEqual(at('22:30').openSchedules, ['first', 'second']);
    assert.deepEqual(at('12:00').openSchedules, []);
    assert.equal(at('12:00').values.has('cpu.weight'), false);
  });

  it('touch only the classes they name', () => {
    const effective = effectiveClass(generation, gold ?? assert.fail(), utc('2026-06-01T22:30'));
    assert.deepEqual(effective.openSchedules, ['second']);
    assert.deepEqual([...effective.values.keys()], ['cpu.limit', 'cpu.weight']);
    assert.deepEqual(effective.assignment, gold?.source);
  });

  it('share one list of boundaries', () => {
    assert.equal(nextBoundary(generation, utc('2026-06-01T12:00')), utc('2026-06-01T20:00'));
    assert.equal(nextBoundary(generation, utc('2026-06-01T20:00')), utc('2026-06-01T22:00'));
    assert.equal(nextBoundary(generation, utc('2026-06-01T22:00')), utc('2026-06-02T00:00'));
    assert.equal(nextBoundary(generation, utc('2026-06-02T00:00')), utc('2026-06-02T06:00'));
    assert.deepEqual(
      openSchedules(generation, utc('2026-06-01T23:00')).map(({ name }) => name),
      ['first', 'second'],
    );
  });

  it('cost next to nothing between boundaries', () => {
    const started = performance.now();
    for (let i = 0; i < 100_000; i++) openSchedules(generation, utc('2026-06-01T12:00') + i);
    assert.ok(performance.now() - started < 1000);
  });

  it('are never without schedules', () => {
    const plain = generationOf('version: 1\nclasses: { gold: {} }\n');
    assert.equal(nextBoundary(plain, 0), null);
    assert.deepEqual(openSchedules(plain, 0), []);
  });
});
