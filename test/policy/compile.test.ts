/** Policy texts → generations: what each key becomes, where it came from, and what depends on the set as a whole. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { CLASS_KEYS } from '../../src/controls/registry.js';
import { formatProblem } from '../../src/errors.js';
import { compile, type PolicyFile } from '../../src/policy/compile.js';
import { compileText, errorsOf, generationOf, goldClass } from './compiled.js';

const GOLD = 'version: 1\nclasses:\n  gold:\n    cpu: { guarantee: 10%, limit: 50% }\n';
const ASSIGN = 'assignments:\n  - { class: gold, match: { any: true } }\n';

describe('a class', () => {
  it('is flattened to leaf keys with value, text and exact place', () => {
    const gold = goldClass(
      '\n    cpu: { guarantee: 2.5 cores }\n    disk:\n      limit:\n        burst: { iops: 200, for: 30s }\n        iops: 100',
    );
    assert.deepEqual(
      [...gold.values],
      [
        ['cpu.guarantee', sourced({ unit: 'cores', cores: 2.5 }, '2.5 cores', 4, 23)],
        ['disk.limit.burst.iops', sourced(200, '200', 7, 24)],
        ['disk.limit.burst.for', sourced(30, '30s', 7, 34)],
        ['disk.limit.iops', sourced(100, '100', 8, 15)],
      ],
    );
    assert.deepEqual(gold.source, { file: 'p.yaml', line: 3, column: 3 });
  });

  it('has defaults for what is no promise', () => {
    const gold = goldClass('{}');
    assert.deepEqual([gold.description, gold.priority, gold.values.size, gold.objectives], ['', 100, 0, []]);
    const told = goldClass('{ description: Databases, priority: 0 }');
    assert.deepEqual([told.description, told.priority], ['Databases', 0]);
  });

  const values: readonly (readonly [key: string, text: string, value: unknown])[] = [
    ['cpu.limit', '100%', { unit: 'percent', fraction: 1 }],
    ['cpu.limit', '1%', { unit: 'percent', fraction: 0.01 }],
    ['cpu.limit', '1 core', { unit: 'cores', cores: 1 }],
    ['cpu.guarantee', '0%', { unit: 'percent', fraction: 0 }],
    ['cpu.weight', 'auto', 'auto'],
    ['cpu.weight', '10000', 10000],
    ['cpu.burst', '20ms', 0.02],
    ['cpu.pin', '"0-3,8"', [0, 1, 2, 3, 8]],
    ['cpu.pin', '5', [5]],
    ['memory.guarantee', '100%', { unit: 'percent', fraction: 1 }],
    ['memory.guarantee', '4GiB', { unit: 'bytes', bytes: 4 * 2 ** 30 }],
    ['memory.hard', 'true', true],
    ['memory.limit', 'none', 'none'],
    ['memory.high', '110%', { unit: 'percent', fraction: 1.1 }],
    ['memory.swap', '0', 0],
    ['memory.swap', '1GiB', 2 ** 30],
    ['memory.merge', 'false', false],
    ['disk.limit.read', '400MiB/s', 400 * 2 ** 20],
    ['disk.limit.write-iops', '5', 5],
    ['disk.weight', '400', 400],
    ['disk.via', 'cgroup', 'cgroup'],
    ['disk.latency', '10ms', 0.01],
    ['disk.histogram', 'true', true],
    ['network.limit.in', '1Gbit/s', { averageBytesPerSecond: 125e6 }],
    [
      'network.limit.out',
      '{ average: 100Mbit/s, peak: 1Gbit/s, burst: 10MiB }',
      { averageBytesPerSecond: 12.5e6, peakBytesPerSecond: 125e6, burstBytes: 10 * 2 ** 20 },
    ],
    ['svirt.required', 'true', true],
    ['svirt.mode', 'static', 'static'],
    ['svirt.type', 'svirt_t', 'svirt_t'],
    ['svirt.categories', '"c10,c20.c22"', [10, 20, 21, 22]],
    ['svirt.apply', 'save-restore', 'save-restore'],
    ['svirt.max-downtime', '10s', 10],
    ['svirt.on-violation', 'suspend', 'suspend'],
    ['svirt.images', 'relabel', 'relabel'],
  ];
  for (const [key, text, value] of values) {
    it(`${key}: ${text}`, () => {
      const names = key.split('.');
      const body = `{ ${names.join(': { ')}: ${text}${' }'.repeat(names.length)}`;
      assert.deepEqual(goldClass(body).values.get(key)?.value, value);
    });
  }

  it('takes the example of every key', () => {
    for (const { key, example, schema } of CLASS_KEYS) {
      const value = /^\d+$/.test(example)
        ? Number(example)
        : /^(true|false)$/.test(example)
          ? example === 'true'
          : example;
      assert.ok(schema.safeParse(value).success, `${key}: ${example}`);
    }
  });

  it('reads objectives in base units', () => {
    const body =
      '\n    disk: { latency: 20ms }\n    objectives:\n' +
      '      - { sli: memory.delivered, at-least: 95%, of: 99.9%, window: 30d }\n' +
      '      - { sli: cpu.wait, at-most: 5%, of: 99%, window: month }\n' +
      '      - { sli: disk.latency, at-most: 10ms, of: 50%, window: 1m }\n' +
      '      - { sli: available, of: 99.95%, window: month }';
    const rolling = (seconds: number) => ({ kind: 'rolling', seconds });
    assert.deepEqual(
      goldClass(body).objectives.map(({ source, ...objective }) => ({ ...objective, line: source.line })),
      [
        { sli: 'memory.delivered', atLeast: 0.95, of: 0.999, window: rolling(2_592_000), line: 6 },
        { sli: 'cpu.wait', atMost: 0.05, of: 0.99, window: { kind: 'month' }, line: 7 },
        { sli: 'disk.latency', atMost: { seconds: 0.01 }, of: 0.5, window: rolling(60), line: 8 },
        { sli: 'available', of: 0.9995, window: { kind: 'month' }, line: 9 },
      ],
    );
  });

  it('refuses a window that is longer than history is kept', () => {
    const found = (window: string) =>
      errorsOf(`version: 1\nclasses:\n  gold: { objectives: [{ sli: available, of: 99%, window: ${window} }] }\n`);
    assert.deepEqual(found('90d'), []);
    assert.match(
      found('91d').join('\n'),
      /^p\.yaml:3:\d+: window .*91d.*POLICY_VALUE_RANGE.* from 1m to 90d such as 30d: history is kept for that long$/,
    );
  });

  it('gives its disk.latency to an objective that has none of its own', () => {
    const body = '{ disk: { latency: 20ms }, objectives: [{ sli: disk.latency, of: 50%, window: 1h }] }';
    assert.deepEqual(goldClass(body).objectives[0]?.atMost, { seconds: 0.02 });
  });
});

describe('rules between two values', () => {
  const fine: readonly string[] = [
    'cpu: { guarantee: 50%, limit: 50% }',
    'cpu: { guarantee: 3 cores, limit: 50% }', // judged per guest
    'cpu: { limit: 50%, burst: 50ms }',
    'cpu: { limit: 100%, burst: 20ms }',
    'memory: { guarantee: 4GiB, limit: 100% }',
    'memory: { guarantee: 4GiB, limit: none }',
    'disk: { via: cgroup, limit: { read: 1MiB/s, read-iops: 5 } }',
    'disk: { via: qemu, limit: { iops: 5, burst: { iops: 5, for: 1s } } }',
    'svirt: { mode: static, categories: "c1,c2" }',
  ];
  for (const body of fine) it(`accepts ${body}`, () => assert.equal(goldClass(`{ ${body} }`).values.size > 0, true));

  it('names both places', () => {
    assert.deepEqual(errorsOf('version: 1\nclasses:\n  gold: { cpu: { guarantee: 60%, limit: 50% } }\n'), [
      'p.yaml:3:29: cpu.guarantee 60% is over cpu.limit 50% (p.yaml:3:41) [POLICY_CONFLICT]; ' +
        'write 50% or less as the guarantee, or raise the limit',
    ]);
  });

  it('finds what only one window, or only two together, bring about', () => {
    const schedules = (...sets: string[]): string =>
      `${GOLD}${ASSIGN}schedules:\n${sets.map((set, i) => `  - { name: s${i}, cron: "0 ${i} * * *", for: 1h, set: { ${set} } }\n`).join('')}`;
    assert.deepEqual(errorsOf(schedules('gold.cpu.limit: 20%', 'gold.cpu.guarantee: 15%')), []);
    assert.match(errorsOf(schedules('gold.cpu.limit: 5%')).join(), /guarantee 10% is over.*while schedule s0 is open/);
    const pair = errorsOf(schedules('gold.cpu.limit: 20%', 'gold.cpu.guarantee: 30%'));
    assert.equal(pair.length, 1);
    assert.match(pair.join(), /guarantee 30% is over cpu.limit 20%.*while schedules s0 and s1 are both open/);
    // The later wins: here the limit of s1 counts, which is high enough.
    assert.deepEqual(errorsOf(schedules('gold.cpu.guarantee: 30%, gold.cpu.limit: 40%', 'gold.cpu.limit: 35%')), []);
  });

  it('tells a contradiction of the class once, not again for every window', () => {
    const text = `version: 1\nclasses:\n  gold: { cpu: { guarantee: 60%, limit: 50% } }\n${ASSIGN}schedules:\n${Array.from(
      { length: 5 },
      (_, i) => `  - { name: s${i}, cron: "0 0 * * *", for: 1h, set: { gold.cpu.weight: 5 } }\n`,
    ).join('')}`;
    assert.equal(errorsOf(text).length, 1);
  });
});

describe('a set of files', () => {
  const files: readonly PolicyFile[] = [
    { path: 'd/10-gold.yaml', text: `${GOLD}assignments:\n  - { class: gold, match: { name: "db-*" } }\n` },
    {
      path: 'd/20-silver.yaml',
      text: 'version: 1\nclasses:\n  silver: {}\nassignments:\n  - { class: silver, match: { name: x } }\n',
    },
    {
      path: 'd/90-bronze.yaml',
      text: 'version: 1\nclasses:\n  bronze: {}\nassignments:\n  - { class: bronze, match: { any: true } }\n',
    },
  ];

  it('is the same generation in whatever order it is given', () => {
    const expected = compile(files);
    assert.ok(expected.ok);
    assert.deepEqual(
      expected.generation.assignments.map(({ className }) => className),
      ['gold', 'silver', 'bronze'],
    );
    fc.assert(
      fc.property(fc.shuffledSubarray([...files], { minLength: files.length }), (shuffled) =>
        assert.deepEqual(compile(shuffled), expected),
      ),
      { numRuns: 6 },
    );
  });

  it('has an id from names and bytes, not from the directory', () => {
    const id = (set: readonly PolicyFile[]): string => {
      const result = compile(set);
      return result.ok ? result.generation.id : assert.fail();
    };
    const original = id(files);
    assert.match(original, /^[0-9a-f]{12}$/);
    assert.equal(id(files.map(({ path, text }) => ({ path: path.replace('d/', '/etc/'), text }))), original);
    const renamed = files.map(({ path, text }) => ({ path: path.replace('20', '21'), text }));
    const commented = files.map(({ path, text }) => ({ path, text: `${text}# x\n` }));
    assert.equal(new Set([original, id(renamed), id(commented), id(files.slice(1))]).size, 4);
  });

  it('tells of every problem of every file at once, in the order of files and lines', () => {
    const broken = [
      {
        path: 'b.yaml',
        text: 'version: 1\nclasses:\n  gold: { cpu: { limit: 300% } }\n  silver: { cpu: { limit: 0% } }\n',
      },
      { path: 'a.yaml', text: 'version: 2\nclasses: { gold: {} }\n' },
      { path: 'c.yaml', text: 'version: 1\nassignments:\n  - { class: iron, match: { any: true } }\n' },
    ];
    const result = compile(broken);
    assert.ok(!result.ok);
    assert.deepEqual(
      result.problems.map((problem) => formatProblem(problem).split(' ')[0] + problem.code),
      [
        'a.yaml:1:10:POLICY_VERSION',
        'b.yaml:3:3:POLICY_CLASS_DUPLICATE',
        'b.yaml:3:25:POLICY_VALUE_RANGE',
        'b.yaml:4:27:POLICY_VALUE_RANGE',
        'c.yaml:3:14:POLICY_CLASS_UNKNOWN',
      ],
    );
    assert.match(result.problems[1]?.message ?? '', /first at a\.yaml:2:12/);
  });

  it('does not call a class unknown that a broken file may define', () => {
    const result = compile([
      { path: 'a.yaml', text: 'version: 1\nclasses: { gold: [\n' },
      { path: 'b.yaml', text: 'version: 1\nassignments:\n  - { class: gold, match: { any: true } }\n' },
    ]);
    assert.ok(!result.ok);
    assert.deepEqual(new Set(result.problems.map(({ code }) => code)), new Set(['POLICY_YAML_SYNTAX']));
  });

  it('looks up classes across files', () => {
    const result = compile([
      { path: 'a.yaml', text: `version: 1\n${ASSIGN}` },
      { path: 'b.yaml', text: GOLD },
    ]);
    assert.ok(result.ok);
  });
});

describe('warnings', () => {
  const warningsOf = (text: string): readonly string[] => {
    const result = compileText(text);
    return result.ok ? result.warnings.map(formatProblem) : assert.fail('not accepted');
  };

  it('tell of what has no effect, and keep the set', () => {
    assert.match(warningsOf(GOLD).join(), /p\.yaml:3:3: no assignment puts a guest into class gold/);
    const text = `version: 1\nclasses:\n  gold:\n    cpu: { burst: 5ms }\n    memory: { hard: true }\n    objectives:\n${'      - { sli: cpu.delivered, at-least: 90%, of: 99%, window: 1d }\n'}${ASSIGN}  - { class: gold, match: { name: x } }\n`;
    assert.deepEqual(
      warningsOf(text).map((line) => line.split(' ').slice(0, 4).join(' ')),
      [
        'p.yaml:4:19: cpu.burst 5ms does',
        'p.yaml:5:21: memory.hard true does',
        'p.yaml:7:9: the objective on',
        'p.yaml:10:5: this assignment is',
      ],
    );
  });

  it('are silent about a plain set', () => assert.deepEqual(warningsOf(GOLD + ASSIGN), []));
});

describe('a generation', () => {
  it('carries the schedule in what it sets', () => {
    const set = '{ gold.cpu.limit: 80%, gold.network.limit.in: { average: 1Gbit/s } }';
    const text = `${GOLD}${ASSIGN}schedules:\n  - { name: nights, cron: " 0 20 * * mon-fri ", for: 10h, timezone: Europe/Berlin, set: ${set} }\n`;
    const column = (text.split('\n')[7] ?? '').indexOf('80%') + 1;
    const [schedule] = generationOf(text).schedules;
    assert.deepEqual(
      [schedule?.cron, schedule?.forSeconds, schedule?.timezone],
      ['0 20 * * mon-fri', 36_000, 'Europe/Berlin'],
    );
    assert.deepEqual(schedule?.set[0], {
      className: 'gold',
      key: 'cpu.limit',
      to: { ...sourced({ unit: 'percent', fraction: 0.8 }, '80%', 8, column), schedule: 'nights' },
    });
    assert.equal(schedule?.set[1]?.to.text, '{ average: 1Gbit/s }');
  });

  it('survives the way out of a worker thread', () => {
    const generation = generationOf(GOLD + ASSIGN);
    assert.deepEqual(structuredClone(generation), generation);
  });
});

function sourced(value: unknown, text: string, line: number, column: number): object {
  return { value, text, source: { file: 'p.yaml', line, column } };
}
