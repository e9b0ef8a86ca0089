/** Wall clocks: gaps, repeated hours, and instants that every wall time has exactly one of. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { isTimeZone, zoneClock } from '../../src/policy/zone.js';

const utc = (text: string): number => Date.parse(`${text}Z`);
const text = (ms: number): string => new Date(ms).toISOString().slice(0, 16);

describe('the forward clock', () => {
  it('leaps over a gap', () => {
    const berlin = zoneClock('Europe/Berlin');
    assert.equal(text(berlin.forward(utc('2026-03-29T00:59'))), '2026-03-29T01:59');
    assert.equal(text(berlin.forward(utc('2026-03-29T01:00'))), '2026-03-29T03:00');
    assert.equal(text(berlin.instant(utc('2026-03-29T02:15'))), '2026-03-29T01:00');
    assert.deepEqual(berlin.gap(utc('2026-03-29T02:15')), {
      from: utc('2026-03-29T02:00'),
      to: utc('2026-03-29T03:00'),
    });
    assert.equal(berlin.gap(utc('2026-03-29T01:59')), null);
    assert.equal(berlin.gap(utc('2026-03-29T03:00')), null);
  });

  it('stands still while an hour is repeated', () => {
    const york = zoneClock('America/New_York');
    assert.equal(text(york.forward(utc('2026-11-01T05:30'))), '2026-11-01T01:30');
    assert.equal(york.forward(utc('2026-11-01T06:00')), utc('2026-11-01T02:00') - 1);
    assert.equal(york.forward(utc('2026-11-01T06:59')), utc('2026-11-01T02:00') - 1);
    assert.equal(text(york.forward(utc('2026-11-01T07:00'))), '2026-11-01T02:00');
    assert.equal(text(york.instant(utc('2026-11-01T01:30'))), '2026-11-01T05:30');
    assert.equal(text(york.instant(utc('2026-11-01T02:00'))), '2026-11-01T07:00');
  });

  it('knows half hours, and the day that Samoa left out', () => {
    const howe = zoneClock('Australia/Lord_Howe');
    assert.deepEqual(howe.gap(utc('2026-10-04T02:10')), { from: utc('2026-10-04T02:00'), to: utc('2026-10-04T02:30') });
    const samoa = zoneClock('Pacific/Apia');
    assert.deepEqual(samoa.gap(utc('2011-12-30T12:00')), {
      from: utc('2011-12-30T00:00'),
      to: utc('2011-12-31T00:00'),
    });
    assert.equal(text(samoa.instant(utc('2011-12-30T12:00'))), '2011-12-30T10:00');
  });

  it('never goes back, and every wall time has the first instant at which it is reached', () => {
    const zones = [
      'UTC',
      'Europe/Berlin',
      'America/New_York',
      'Australia/Lord_Howe',
      'America/Santiago',
      'Asia/Kathmandu',
    ];
    const instant = fc.integer({ min: utc('2025-01-01T00:00'), max: utc('2030-01-01T00:00') });
    const near = fc.constantFrom(
      utc('2026-03-29T01:00'),
      utc('2026-10-25T01:00'),
      utc('2026-11-01T06:00'),
      utc('2027-04-03T15:00'),
    );
    const anywhere = fc.oneof(
      instant,
      fc.tuple(near, fc.integer({ min: -86_400_000, max: 86_400_000 })).map(([a, b]) => a + b),
    );
    fc.assert(
      fc.property(fc.constantFrom(...zones), anywhere, fc.nat({ max: 7_200_000 }), (name, at, later) => {
        const zone = zoneClock(name);
        assert.ok(zone.forward(at) <= zone.forward(at + later));
        const reached = zone.instant(at);
        assert.ok(zone.forward(reached) >= at && zone.forward(reached - 1) < at);
      }),
      { numRuns: 400 },
    );
  });
});

describe('names of time zones', () => {
  it('are those of the database', () => {
    for (const name of ['UTC', 'Europe/Berlin', 'America/Argentina/Buenos_Aires', 'Etc/GMT+5', 'CET'])
      assert.ok(isTimeZone(name), name);
    for (const name of ['', '+02:00', 'local', 'Europe/Belrin', 'Europe/Berlin ', '../etc/passwd', 'UTC+2'])
      assert.ok(!isTimeZone(name), name);
  });
});
