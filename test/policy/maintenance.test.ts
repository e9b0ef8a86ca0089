/** Maintenance windows: what they are in a generation, when they are open, whom they cover, what is warned of. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatProblem } from '../../src/errors.js';
import { compile } from '../../src/policy/compile.js';
import { isExcluded, nextMaintenanceBoundary, openMaintenance } from '../../src/policy/maintenance.js';
import { makeScheduler, nextBoundary } from '../../src/policy/schedule.js';
import type { DomainAttributes, Generation, MaintenanceWindow } from '../../src/policy/types.js';
import { compileText, errorsOf, generationOf } from './compiled.js';

const MINUTE = 60_000;

const CLASSES = `version: 1
classes:
  gold: { objectives: [{ sli: available, of: 99%, window: 30d }, { sli: cpu.wait, at-most: 5%, of: 99%, window: 30d }] }
  silver: { objectives: [{ sli: available, of: 99%, window: 30d }] }
  bronze: { cpu: { limit: 50% } }
assignments:
  - { class: gold, match: { name: "db-*" } }
  - { class: silver, match: { name: "web-*" } }
  - { class: bronze, match: { any: true } }
`;

function withMaintenance(...windows: readonly string[]): string {
  return `${CLASSES}maintenance:\n${windows.map((window) => `  - { ${window} }\n`).join('')}`;
}

function windowOf(rest: string): MaintenanceWindow {
  const text = withMaintenance(`name: w, cron: "0 2 * * *", for: 1h${rest}`);
  return generationOf(text).maintenance[0] ?? assert.fail('no window');
}

function warningsOf(text: string): readonly string[] {
  const result = compileText(text);
  assert.ok(result.ok, result.ok ? '' : result.problems.map(formatProblem).join('\n'));
  return result.warnings.map(formatProblem);
}

function guest(name: string, className: string, title = '') {
  const attributes: DomainAttributes = { uuid: 'u', name, title, description: '', metadata: [] };
  return { className, attributes };
}

function utc(text: string): number {
  return Date.parse(`${text}Z`);
}

function openNames(generation: Generation, nowMs: number): readonly string[] {
  return openMaintenance(generation, nowMs).map(({ name }) => name);
}

describe('a maintenance window in a policy', () => {
  it('restricts nothing that it does not name', () => {
    assert.deepEqual(windowOf(''), {
      name: 'w',
      cron: '0 2 * * *',
      forSeconds: 3600,
      timezone: 'UTC',
      classes: null,
      match: null,
      slis: null,
      source: { file: 'p.yaml', line: 11, column: 5 },
    });
  });

  it('keeps what it names', () => {
    const window = windowOf(
      ', timezone: Europe/Berlin, classes: [silver, gold], match: { name: "db-*" }, slis: [available]',
    );
    assert.deepEqual(
      [window.timezone, window.classes, window.match, window.slis],
      ['Europe/Berlin', ['silver', 'gold'], { name: ['db-*'] }, ['available']],
    );
  });

  it('may come in any file of the set, in the order of the files', () => {
    const part = (name: string) => `version: 1\nmaintenance:\n  - { name: ${name}, cron: "0 2 * * *", for: 1h }\n`;
    const files = [
      { path: '90.yaml', text: part('last') },
      { path: '10.yaml', text: CLASSES },
      { path: '20.yaml', text: part('first') },
    ];
    const result = compile(files);
    assert.ok(result.ok);
    assert.deepEqual(
      result.generation.maintenance.map(({ name }) => name),
      ['first', 'last'],
    );
    const twice = compile([...files, { path: '99.yaml', text: part('first') }]);
    assert.ok(!twice.ok);
    assert.deepEqual(twice.problems.map(formatProblem), [
      '99.yaml:3:5: the maintenance window "first" is defined twice, first at 20.yaml:3:5 ' +
        '[POLICY_MAINTENANCE_DUPLICATE]; rename one of the two',
    ]);
  });

  it('may have the name of a schedule', () => {
    const text = withMaintenance('name: nights, cron: "0 2 * * *", for: 1h');
    const schedule = 'schedules:\n  - { name: nights, cron: "0 20 * * *", for: 1h, set: { bronze.cpu.limit: 90% } }\n';
    assert.deepEqual(errorsOf(text + schedule), []);
  });

  it('is not there without the key, and the generation has the id that it always had', () => {
    const generation = generationOf(CLASSES);
    assert.deepEqual(generation.maintenance, []);
    assert.equal(generationOf('version: 1\nclasses: { gold: { cpu: { limit: 50% } } }\n').id, '0dfcc159a517');
    assert.notEqual(generationOf(withMaintenance('name: w, cron: "0 2 * * *", for: 1h')).id, generation.id);
  });

  it('finds its classes in whichever file', () => {
    const text = 'version: 1\nmaintenance:\n  - { name: w, cron: "0 2 * * *", for: 1h, classes: [gild] }\n';
    const result = compile([
      { path: 'a.yaml', text },
      { path: 'b.yaml', text: CLASSES },
    ]);
    assert.ok(!result.ok);
    assert.deepEqual(result.problems.map(formatProblem), [
      'a.yaml:3:54: there is no class "gild" [POLICY_CLASS_UNKNOWN]; did you mean "gold"?',
    ]);
  });
});

describe('openMaintenance', () => {
  const generation = generationOf(
    withMaintenance(
      'name: nightly, cron: "0 2 * * *", for: 2h, timezone: Europe/Berlin',
      'name: monthly, cron: "30 1 1 * *", for: 90s',
    ),
  );

  it('is half open to the millisecond', () => {
    const names = ['01:29:59.999', '01:30:00.000', '01:31:29.999', '01:31:30.000'].map((time) =>
      openNames(generation, utc(`2026-06-01T${time}`)),
    );
    assert.deepEqual(names, [['nightly'], ['nightly', 'monthly'], ['nightly', 'monthly'], ['nightly']]);
    assert.deepEqual(openNames(generation, utc('2026-05-31T23:59:59.999')), []);
    assert.deepEqual(openNames(generation, utc('2026-06-01T02:00')), []);
  });

  it('tells when that changes', () => {
    const boundary = (time: string) => nextMaintenanceBoundary(generation, utc(time));
    assert.equal(boundary('2026-05-31T12:00'), utc('2026-06-01T00:00'));
    assert.equal(boundary('2026-06-01T00:00'), utc('2026-06-01T01:30'));
    assert.equal(boundary('2026-06-01T01:30'), utc('2026-06-01T01:31:30'));
    assert.equal(boundary('2026-06-01T01:31:30'), utc('2026-06-01T02:00'));
    assert.equal(nextMaintenanceBoundary(generationOf(CLASSES), utc('2026-06-01T00:00')), null);
  });

  it('changes nothing about schedules', () => {
    assert.equal(nextBoundary(generation, utc('2026-06-01T00:00')), null);
  });

  it('is in step with a schedule of the same window, through the nights of the change', () => {
    for (const [day, hours] of [
      ['2026-03-29', 1],
      ['2026-10-25', 3],
    ] as const) {
      const scheduler = makeScheduler([
        { name: 'nightly', cron: '0 2 * * *', forSeconds: 7200, timezone: 'Europe/Berlin' },
      ]);
      const from = utc(`${day}T00:00`) - 6 * 60 * MINUTE;
      let open = 0;
      for (let now = from; now < from + 14 * 60 * MINUTE; now += MINUTE) {
        const expected = scheduler.open(now).map(({ name }) => name);
        assert.deepEqual(openNames(generation, now), expected, new Date(now).toISOString());
        open += expected.length;
      }
      // 02:00 to 04:00 CET or CEST: 3 hours with the repeated one; a start in the gap moves with its whole window.
      assert.equal(open, day === '2026-03-29' ? 120 : hours * 60);
    }
  });
});

describe('isExcluded', () => {
  const excludes = (rest: string, name: string, className: string, sli = 'available', title = ''): boolean =>
    isExcluded([windowOf(rest)], guest(name, className, title), sli) !== null;

  it('covers all guests and objectives unless told otherwise', () => {
    assert.ok(excludes('', 'any', 'bronze', 'cpu.wait'));
  });

  it('goes by class, by match and by SLI, all that are given', () => {
    assert.deepEqual(
      [excludes(', classes: [gold, silver]', 'x', 'silver'), excludes(', classes: [gold, silver]', 'x', 'bronze')],
      [true, false],
    );
    const match = ', match: { name: ["db-*", "pg-*"], title: "*prod*" }';
    assert.deepEqual(
      [
        excludes(match, 'pg-1', 'gold', 'available', 'a prod b'),
        excludes(match, 'pg-1', 'gold', 'available', 'test'),
        excludes(match, 'web-1', 'gold', 'available', 'prod'),
      ],
      [true, false, false],
    );
    assert.deepEqual(
      [
        excludes(', slis: [available]', 'x', 'gold', 'available'),
        excludes(', slis: [available]', 'x', 'gold', 'cpu.wait'),
      ],
      [true, false],
    );
    const both = ', classes: [gold], match: { name: "db-*" }';
    assert.deepEqual(
      [excludes(both, 'db-1', 'gold'), excludes(both, 'db-1', 'silver'), excludes(both, 'web-1', 'gold')],
      [true, false, false],
    );
    assert.ok(excludes(', match: { any: true }', 'x', 'bronze'));
  });

  it('gives the first that covers, and null without one', () => {
    const { maintenance } = generationOf(
      withMaintenance(
        'name: silver, cron: "0 2 * * *", for: 1h, classes: [silver]',
        'name: gold, cron: "0 2 * * *", for: 1h, classes: [gold]',
        'name: all, cron: "0 2 * * *", for: 1h',
      ),
    );
    assert.equal(isExcluded(maintenance, guest('x', 'gold'), 'available')?.name, 'gold');
    assert.equal(isExcluded(maintenance, guest('x', 'bronze'), 'available')?.name, 'all');
    assert.equal(isExcluded([], guest('x', 'gold'), 'available'), null);
  });
});

describe('a window that excludes nothing is warned of', () => {
  it('as a whole, once', () => {
    assert.deepEqual(
      warningsOf(withMaintenance('name: w, cron: "0 2 * * *", for: 1h, classes: [bronze], slis: [memory.stall]')),
      [
        'p.yaml:11:5: the maintenance window "w" excludes nothing: no class that it covers has an objective on ' +
          'one of its SLIs [POLICY_NO_EFFECT]; add objectives to the class, or correct classes and slis, or remove the window',
      ],
    );
  });

  it('class by class', () => {
    assert.deepEqual(warningsOf(withMaintenance('name: w, cron: "0 2 * * *", for: 1h, classes: [gold, bronze]')), [
      'p.yaml:11:60: the maintenance window "w" excludes nothing of class bronze, which has no objective that it ' +
        'covers [POLICY_NO_EFFECT]; add objectives to class bronze, or remove it from classes',
    ]);
  });

  it('SLI by SLI', () => {
    assert.deepEqual(
      warningsOf(withMaintenance('name: w, cron: "0 2 * * *", for: 1h, slis: [available, memory.stall]')),
      [
        'p.yaml:11:62: the maintenance window "w" excludes nothing of memory.stall: no class that it covers has an ' +
          'objective on it [POLICY_NO_EFFECT]; add such an objective, or remove memory.stall from slis',
      ],
    );
  });

  it('and one that excludes something is not', () => {
    assert.deepEqual(
      warningsOf(withMaintenance('name: w, cron: "0 2 * * *", for: 1h, classes: [gold], slis: [cpu.wait]')),
      [],
    );
  });
});

describe('a window that never closes is warned of', () => {
  const cases: readonly (readonly [cron: string, length: string, endless: boolean])[] = [
    ['0 2 * * *', '24h', true],
    ['0 2 * * *', '1439m', false],
    ['* * * * *', '1m', true],
    ['* * * * *', '59s', false],
    ['*/20 * * * *', '20m', true],
    ['*/25 * * * *', '20m', false],
    ['0 8-18/2 * * *', '14h', true],
    ['0 8-18/2 * * *', '13h', false],
    ['0 0 * * 1-5', '3d', true],
    ['0 0 * * 1-5', '2d', false],
    ['0 0 * * 7', '7d', true],
    ['0 0 1 * *', '31d', true],
    ['0 0 1 * *', '30d', false],
    ['0 0 1 1 *', '366d', true],
    ['0 0 1 1 *', '365d', false],
    ['0 0 29 2 *', '366d', false],
    // Either kind of day will do: the 13th is a Friday, or between two Fridays.
    ['0 0 13 * fri', '7d', true],
    ['0 0 13 * fri', '6d', false],
    ['0 0 31 * *', '61d', true],
    ['0 0 31 * *', '60d', false],
  ];
  for (const [cron, length, endless] of cases) {
    it(`${cron} for ${length}: ${endless ? 'endless' : 'closes'}`, () => {
      const warnings = warningsOf(withMaintenance(`name: w, cron: "${cron}", for: ${length}`));
      const expected =
        'p.yaml:11:5: the maintenance window "w" never closes: each one lasts until the next one opens ' +
        '[POLICY_MAINTENANCE_ENDLESS]; write a shorter for; to stop judging objectives, remove them';
      assert.deepEqual(warnings, endless ? [expected] : []);
    });
  }
});

describe('two objectives on one SLI', () => {
  it('are an error of their class, with both places', () => {
    const objective = '{ sli: available, of: 99%, window: 30d }';
    assert.deepEqual(
      errorsOf(`version: 1\nclasses:\n  gold:\n    objectives:\n      - ${objective}\n      - ${objective}\n`),
      [
        'p.yaml:6:9: the class has two objectives on available, the first at p.yaml:5:9 [POLICY_OBJECTIVE]; ' +
          'remove one of the two',
      ],
    );
  });
});
