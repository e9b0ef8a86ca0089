/** The check before package cron: what it accepts the package accepts too, and what never fires is told by the calendar. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CronTime } from 'cron';
import fc from 'fast-check';
import { checkCron } from '../../src/policy/cron-fields.js';

describe('a cron expression', () => {
  const accepted = [
    '0 20 * * 1-5',
    '*/15 0-6,22 1,15 jan-mar MON-fri',
    '0 0 29 2 *',
    '0 0 * * 7',
    '59 23 31 12 6',
    '5/10 * * * *',
  ];
  for (const text of accepted) {
    it(`"${text}" is accepted, by the package too`, () => {
      assert.deepEqual(checkCron(text), { ok: true, everFires: true });
      assert.ok(new CronTime(text, 'UTC'));
    });
  }

  const refused = [
    '',
    '* * * *',
    '* * * * * *',
    '60 * * * *',
    '* 24 * * *',
    '* * 0 * *',
    '* * 32 * *',
    '* * * 13 *',
    '* * * * 8',
  ];
  for (const text of [
    ...refused,
    '-1 * * * *',
    '1- * * * *',
    '1-2-3 * * * *',
    '*/0 * * * *',
    '5-1 * * * *',
    '* * * * L',
    '* * ? * *',
    '@daily',
    ', * * * *',
    '*5 * * * *',
    '1.5 * * * *',
    '* * * foo *',
    '99999999 * * * *',
  ]) {
    it(`"${text}" is refused`, () => {
      const check = checkCron(text);
      assert.ok(!check.ok);
      assert.match(check.fix, /\S/);
    });
  }

  it('that names a day which no month has never fires', () => {
    for (const text of ['0 0 30 2 *', '0 0 31 2,4,6,9,11 *', '0 0 30-31 feb *']) {
      assert.deepEqual(checkCron(text), { ok: true, everFires: false }, text);
    }
  });

  it('with a weekday beside it fires all the same', () => {
    assert.deepEqual(checkCron('0 0 30 2 1'), { ok: true, everFires: true });
    assert.deepEqual(checkCron('0 0 30 2 0-6'), { ok: true, everFires: false });
    assert.deepEqual(checkCron('0 0 30 2 1-7'), { ok: true, everFires: false });
  });

  it('is either refused or good enough for the package, which then finds a date unless it never fires', () => {
    const field = fc.oneof(
      fc.constantFrom('*', '*/7', '0', '7', '30', '31', '1-5', '1,2', 'feb', 'sun', '6-7', '31/2'),
      fc.string({ unit: fc.constantFrom(...'0123456789*/-,'), maxLength: 4 }),
    );
    fc.assert(
      fc.property(fc.array(field, { minLength: 5, maxLength: 5 }), (fields) => {
        const text = fields.join(' ');
        const check = checkCron(text);
        if (!check.ok) return;
        const cron = new CronTime(text, 'UTC');
        const next = () => cron.getNextDateFrom(new Date('2026-01-01T00:00:00Z'), 'UTC').toMillis();
        if (check.everFires) assert.ok(next() > 0, text);
        else assert.throws(next, text);
      }),
      { numRuns: 300 },
    );
  });
});
