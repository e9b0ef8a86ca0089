/**
 * The reference page of the policy language as Markdown, from the keys that the controls declare: what is documented is
 * what is validated. Takes the registry, gives the text of docs/reference/policy.md.
 */
import type { Control, KeySpec } from '../controls/control.js';
import { PLANNED_PROMISES } from '../controls/planned.js';
import { CONTROLS, PROMISES } from '../controls/registry.js';
import { ALL_SLIS } from '../slo/slis.js';
import { KEPT_DAYS } from '../slo/windows.js';
import { DEFAULT_PRIORITY, PRIORITY_MAX } from './schema.js';

export function policyReference(
  controls: readonly Control[] = CONTROLS,
  promises: readonly KeySpec[] = PROMISES,
): string {
  const rows = [
    ...controls.flatMap(({ keys, built }) => keys.map((key) => ({ key, status: built ? 'built' : 'not built yet' }))),
    ...promises.map((key) => ({ key, status: PLANNED_PROMISES.includes(key) ? 'not built yet' : 'built' })),
  ].sort((a, b) => (a.key.key < b.key.key ? -1 : 1));
  return [INTRODUCTION, keyTable(rows), VALUES, objectiveTable(), REST].join('\n\n');
}

function keyTable(rows: readonly { readonly key: KeySpec; readonly status: string }[]): string {
  const lines = rows.map(({ key: { key, summary, unit, range, example }, status }) =>
    row([`\`${key}\``, summary, unit, range, `\`${example}\``, status]),
  );
  return [row(['Key', 'What it does', 'Unit', 'Range', 'Example', 'Status']), row(Array(6).fill('---')), ...lines].join(
    '\n',
  );
}

function objectiveTable(): string {
  const bounds: Readonly<Record<string, string>> = {
    'at-least': '`at-least`, a percentage of what was promised',
    'at-most-share': '`at-most`, a percentage of time',
    'at-most-duration': "`at-most`, a duration; the class's `disk.latency` where it is left out",
    none: 'none',
  };
  const lines = ALL_SLIS.map(({ name, bound, help }) => row([`\`${name}\``, bounds[bound] ?? '', help]));
  return [
    OBJECTIVES,
    '',
    row(['`sli`', 'Bound of a good slice', 'What is measured']),
    row(['---', '---', '---']),
    ...lines,
  ].join('\n');
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

const INTRODUCTION = `# Policy reference

<!-- Generated from the code by \`npm run generate\`; do not edit. -->

A policy is the set of all \`*.yaml\` files of the policy directory, read in lexical order; files whose name starts with a
dot are left out. Each file is one YAML 1.2 document of plain maps, lists and values, at most 256 KiB. Anchors, aliases,
merge keys, tags and duplicate keys are errors. The whole set is validated and then swapped in as one *generation*; with
any error the last good generation stays in force. \`virtslad check\` says what is wrong, all at once.

Files, their directory and all directories above must belong to root or to the user that runs virtslad, and must not be
writable by their group or by everyone; sticky directories such as \`/tmp\` may be above.

\`\`\`yaml
version: 1
classes:
  gold:
    description: Mission-critical databases
    priority: 900
    cpu: { guarantee: 60%, limit: 100% }
    objectives:
      - { sli: cpu.delivered, at-least: 95%, of: 99.9%, window: 30d }
assignments:
  - { class: gold, match: { name: "db-*" } }
schedules:
  - { name: nights, cron: "0 20 * * 1-5", for: 10h, timezone: Europe/Berlin, set: { gold.cpu.guarantee: 20% } }
maintenance:
  - { name: patch-day, cron: "0 2 * * sun", for: 2h, timezone: Europe/Berlin, classes: [gold] }
\`\`\`

## Keys of a class

The name of a class is a lower-case letter and up to 31 lower-case letters, digits or \`-\`. A class may have a
\`description\`, a \`priority\` (0–${PRIORITY_MAX}, ${DEFAULT_PRIORITY} unless given; the lower gives way first), \`objectives\`, and the keys below. A dot stands
for a map: \`cpu.limit\` is written \`cpu: { limit: 50% }\`. **A key that is left out is not managed**: it is neither written
nor reset. A key whose control is not built yet is validated, and guests whose class asks for it are shown as
\`unsupported\`.`;

const VALUES = `Two values that contradict each other are an error, also when only a schedule brings them together: a guarantee over
its limit in the same unit, \`memory.high\` over \`memory.limit\`, a burst under its limit or without one, \`total\` beside
\`read\` or \`write\`, \`disk.via: cgroup\` with what a cgroup cannot do.

## Values

| Kind | Written as |
| --- | --- |
| size | a number and \`B\`, \`kB\`, \`MB\`, \`GB\`, \`TB\` (powers of 1000) or \`KiB\`, \`MiB\`, \`GiB\`, \`TiB\` (powers of 1024): \`512MiB\` |
| rate | a size and \`/s\`: \`400MiB/s\` |
| network rate | \`kbit/s\`, \`Mbit/s\`, \`Gbit/s\` (powers of 1000), or a rate: \`1Gbit/s\` |
| duration | a number and \`us\`, \`ms\`, \`s\`, \`m\`, \`h\` or \`d\`: \`90s\` |
| percentage | \`50%\`, \`99.9%\` |
| CPU amount | a percentage of the guest's online vCPUs, or host cores: \`50%\`, \`2.5 cores\`, \`1 core\` |
| CPU list | numbers and ranges: \`0-3,8\` |
| flag | \`true\` or \`false\` |

Units are case-sensitive. Numbers are plain decimals. A network limit may also be a map of \`average\`, \`peak\` and \`burst\`:
\`{ average: 500Mbit/s, peak: 1Gbit/s, burst: 10MiB }\`.`;

const OBJECTIVES = `## Objectives

An objective says which share of time slices must be good over a window: \`of\`, strictly between 0 and 100 %, and
\`window\`, a duration from \`1m\` to \`${KEPT_DAYS}d\`, for which history is kept, or \`month\` for the calendar month. A class has at most one objective on
an SLI. What makes a slice good depends on the SLI:`;

const REST = `## Assignments

The first assignment that matches a guest decides its class, files in lexical order, each from top to bottom. A guest
that none matches is seen and not managed. All keys of a \`match\` are required; a list of patterns means any of them.

| Key of \`match\` | Matches |
| --- | --- |
| \`any: true\` | every guest; it belongs into the last file |
| \`name\`, \`title\`, \`description\` | a pattern for the whole text; case counts |
| \`uuid\` | a pattern for the uuid, in lower case |
| \`metadata\` | a map of \`prefix:element[/prefix:element...][@attribute]\` to patterns; prefixes as bound in the guest's XML; without \`@\` the text of the element counts; of repeated elements one that matches is enough |

In a pattern \`*\` is any text, \`?\` one character, \`[abc]\`, \`[a-z]\` and \`[!0-9]\` one of a set. Everything else is itself.

Mind who can write what is matched: \`title\`, \`description\` and metadata can often be set by the owner of a guest, who
would choose a class with them. Names and metadata that only the cloud's own services write are safe.

## Schedules

| Key | Meaning |
| --- | --- |
| \`name\` | unique in the set |
| \`cron\` | when a window opens: minute, hour, day of the month, month, day of the week. Lists, ranges, steps (\`*/15\`) and the names \`jan\`–\`dec\`, \`sun\`–\`sat\` are understood; where both kinds of day are given, either will do |
| \`for\` | how long it stays open, \`1s\` to \`366d\` |
| \`timezone\` | a name such as \`Europe/Berlin\`; \`UTC\` where it is left out |
| \`set\` | \`CLASS.KEY.PATH: VALUE\`, any number of them |

A window is counted on the wall clock of its zone: 20:00 for 10h ends at 06:00, also in the nights in which the clock is
put forward or back. A start that does not exist on such a day moves to the next time that does; one that exists twice
counts once. Where windows overlap, the schedule that comes later in file and position wins, key by key. Values are
checked for every window and for every pair of windows on one class, whether or not they ever overlap.

## Maintenance

While a window of planned maintenance is open, the time of the objectives that it covers is \`excluded\`: it counts neither
as good nor as bad. What the guests are given does not change.

| Key | Meaning |
| --- | --- |
| \`name\` | unique among the maintenance windows of the set |
| \`cron\`, \`for\`, \`timezone\` | when it is open, exactly as for a schedule |
| \`classes\` | a list of the classes whose guests it covers; all where it is left out |
| \`match\` | which guests it covers, as in an assignment; all where it is left out |
| \`slis\` | a list of the SLIs whose objectives it covers; all where it is left out |

A guest is covered when its class and the \`match\` both fit. A window that covers no objective at all is warned of, and so
is a class or an SLI that it names in vain, and a window that never closes because each lasts until the next one opens.
`;
