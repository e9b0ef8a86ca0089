/** Units: tables of what is accepted, refused and suggested, and parse(format(x)) = x. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  formatCpuAmount,
  formatCpuList,
  formatDuration,
  formatNetworkRate,
  formatPercent,
  formatRate,
  formatSize,
  type Parsed,
  parseCpuAmount,
  parseCpuList,
  parseDuration,
  parseNetworkRate,
  parsePercent,
  parseRate,
  parseSize,
} from '../src/units.js';

type Parse = (text: string) => Parsed<unknown>;

const ACCEPTED: readonly (readonly [Parse, string, unknown])[] = [
  [parseSize, '0', 0],
  [parseSize, '0B', 0],
  [parseSize, '512MiB', 536_870_912],
  [parseSize, '1.5 GiB', 1_610_612_736],
  [parseSize, '1.1GB', 1_100_000_000],
  [parseSize, '1kB', 1000],
  [parseSize, '2TiB', 2 * 2 ** 40],
  [parseSize, ' 7B ', 7],
  [parseRate, '400MiB/s', 419_430_400],
  [parseRate, '1kB/s', 1000],
  [parseNetworkRate, '1Gbit/s', 125_000_000],
  [parseNetworkRate, '1kbit/s', 125],
  [parseNetworkRate, '0.1Mbit/s', 12_500],
  [parseNetworkRate, '10MiB/s', 10_485_760],
  [parseDuration, '20ms', 0.02],
  [parseDuration, '1us', 1e-6],
  [parseDuration, '90s', 90],
  [parseDuration, '1.5h', 5400],
  [parseDuration, '30d', 2_592_000],
  [parsePercent, '50%', 0.5],
  [parsePercent, '99.9 %', 0.999],
  [parsePercent, '7%', 0.07],
  [parsePercent, '0%', 0],
  [parseCpuAmount, '35%', { unit: 'percent', fraction: 0.35 }],
  [parseCpuAmount, '200%', { unit: 'percent', fraction: 2 }],
  [parseCpuAmount, '2.5 cores', { unit: 'cores', cores: 2.5 }],
  [parseCpuAmount, '1 core', { unit: 'cores', cores: 1 }],
  [parseCpuAmount, '3cores', { unit: 'cores', cores: 3 }],
  [parseCpuList, '0-3,8', [0, 1, 2, 3, 8]],
  [parseCpuList, '8, 1-2,2', [1, 2, 8]],
  [parseCpuList, '5', [5]],
];

/** text → part of the reason, part of the fix */
const REFUSED: readonly (readonly [Parse, string, RegExp, RegExp])[] = [
  [parseSize, '', /is empty/, /512MiB/],
  [parseSize, '512', /has no unit/, /512MiB/],
  [parseSize, '-1GiB', /is negative/, /4GiB/],
  [parseSize, '+1GiB', /is not a number with a unit/, /./],
  [parseSize, '1e3MiB', /unknown unit "e3MiB"/, /./],
  [parseSize, '1_000MiB', /unknown unit/, /./],
  [parseSize, '.5GiB', /not a number/, /./],
  [parseSize, '5.GiB', /not a number/, /./],
  [parseSize, '1,5GiB', /unknown unit/, /./],
  [parseSize, '4G', /unknown unit "G"/, /write 4GB or 4GiB$/],
  [parseSize, '4KB', /unknown unit "KB"/, /write 4kB or 4KiB$/],
  [parseSize, '4gib', /unknown unit "gib"/, /write 4GiB$/],
  [parseSize, '0.2B', /less than one byte/, /./],
  [parseSize, '99999TiB', /too large/, /./],
  [parseSize, '1234567890123456B', /more than 15 digits/, /./],
  [parseSize, '1constructor', /unknown unit "constructor"/, /./],
  [parseRate, '400MiB', /unknown unit "MiB"/, /write 400MiB\/s$/],
  [parseRate, '400M', /unknown unit "M"/, /write 400MB\/s or 400MiB\/s$/],
  [parseRate, '1Gbit/s', /unknown unit/, /400MiB\/s/],
  [parseNetworkRate, '100Mbps', /unknown unit "Mbps"/, /write 100Mbit\/s or 100MB\/s$/],
  [parseNetworkRate, '100mbit/s', /unknown unit/, /write 100Mbit\/s$/],
  [parseDuration, '30', /has no unit/, /30s/],
  [parseDuration, '1h30m', /unknown unit "h30m"/, /./],
  [parseDuration, '5min', /unknown unit "min"/, /write 5m$/],
  [parseDuration, '5M', /unknown unit "M"/, /write 5m$/],
  [parseDuration, '0.1us', /less than one microsecond/, /./],
  [parsePercent, '50', /has no unit/, /50%/],
  [parsePercent, '50 percent', /unknown unit "percent"/, /write 50%$/],
  [parseCpuAmount, '2', /has no unit/, /2\.5 cores/],
  [parseCpuAmount, '0', /has no unit/, /./],
  [parseCpuAmount, '2 vCPUs', /unknown unit "vCPUs"/, /write 2 cores$/],
  [parseCpuAmount, '2 Cores', /unknown unit "Cores"/, /write 2 cores$/],
  [parseCpuAmount, '-5%', /is negative/, /./],
  [parseCpuList, '', /empty/, /0-3,8/],
  [parseCpuList, '0-', /neither a number nor a range/, /0-3,8/],
  [parseCpuList, '0,,1', /neither a number nor a range/, /./],
  [parseCpuList, '3-0', /backwards/, /write 0-3$/],
  [parseCpuList, '0-9999', /has CPU 9999/, /8191/],
  [parseCpuList, '0-99999999999', /neither/, /./],
];

describe('units', () => {
  for (const [parse, text, value] of ACCEPTED) {
    it(`${parse.name} takes "${text}"`, () => assert.deepEqual(parse(text), { ok: true, value }));
  }
  for (const [parse, text, reason, fix] of REFUSED) {
    it(`${parse.name} refuses "${text}"`, () => {
      const result = parse(text);
      assert.equal(result.ok, false);
      if (result.ok) return;
      assert.match(result.reason, reason);
      assert.match(result.fix, fix);
    });
  }

  it('formats in the largest unit that stays whole', () => {
    assert.equal(formatSize(536_870_912), '512MiB');
    assert.equal(formatSize(1_000_000), '1MB');
    assert.equal(formatSize(0), '0B');
    assert.equal(formatRate(419_430_400), '400MiB/s');
    assert.equal(formatNetworkRate(125_000_000), '1Gbit/s');
    assert.equal(formatDuration(5400), '90m');
    assert.equal(formatDuration(0.02), '20ms');
    assert.equal(formatDuration(0), '0s');
    assert.equal(formatPercent(0.999), '99.9%');
    assert.equal(formatCpuAmount({ unit: 'percent', fraction: 0.07 }), '7%');
    assert.equal(formatCpuAmount({ unit: 'cores', cores: 1 }), '1 core');
    assert.equal(formatCpuAmount({ unit: 'cores', cores: 0.000001 }), '0.000001 cores');
    assert.equal(formatCpuList([0, 1, 2, 3, 8, 10, 11]), '0-3,8,10-11');
  });

  it('parse(format(x)) is x', () => {
    const same =
      <T>(parse: (text: string) => Parsed<T>, format: (value: T) => string) =>
      (value: T) =>
        assert.deepEqual(parse(format(value)), { ok: true, value }, format(value));
    const bytes = fc.nat({ max: 999_999_999_999_999 });
    fc.assert(fc.property(bytes, same(parseSize, formatSize)));
    fc.assert(fc.property(bytes, same(parseRate, formatRate)));
    fc.assert(fc.property(bytes, same(parseNetworkRate, formatNetworkRate)));
    const usec = fc.nat({ max: 999_999_999_999_999 }).map((value) => value / 1e6);
    fc.assert(fc.property(usec, same(parseDuration, formatDuration)));
    const percent = fc
      .tuple(fc.nat({ max: 100_000 }), fc.nat({ max: 6 }))
      .map(([n, digits]) => Number(`${(n / 10 ** digits).toFixed(digits)}e-2`));
    fc.assert(fc.property(percent, same(parsePercent, formatPercent)));
    const amount = fc.oneof(
      fc.nat({ max: 10_000 }).map((n) => ({ unit: 'percent' as const, fraction: Number(`${n / 100}e-2`) })),
      fc.nat({ max: 10_000 }).map((n) => ({ unit: 'cores' as const, cores: n / 100 })),
    );
    fc.assert(fc.property(amount, same(parseCpuAmount, formatCpuAmount)));
    const cpus = fc.uniqueArray(fc.nat({ max: 8191 }), { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(
        cpus.map((list) => list.sort((a, b) => a - b)),
        same(parseCpuList, formatCpuList),
      ),
    );
  });

  it('gives a value or a reason for any text, and never throws', () => {
    const parsers: readonly Parse[] = [parseSize, parseNetworkRate, parseDuration, parseCpuAmount, parseCpuList];
    fc.assert(
      fc.property(fc.string(), fc.constantFrom(...parsers), (text, parse) => {
        const result = parse(text);
        return result.ok || (result.reason.length > 0 && result.fix.length > 0);
      }),
    );
  });
});
