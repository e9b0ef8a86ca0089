/** Writes the page of results, `docs/performance.md`: a row for each figure that a goal asks for, and what was not measured. Pure. */
import { type Check, GOALS, judge, merged } from './goals.js';
import type { MachineFacts } from './machine.js';
import type { Result } from './result.js';

export interface Run {
  readonly machine: MachineFacts;
  /** `2026-01-31` */
  readonly date: string;
  readonly results: readonly (Result & { readonly name: string })[];
}

const NOT_MEASURED = [
  'Guests on fixtures are files in memory, not guests: a directory that looks like cgroup v2 under systemd as libvirt lays it out, with threads’ `schedstat`. Files of tmpfs cost less to read than the kernel’s, so ratios to C are harder there, and times are lower than on a host. “Real groups” are the kernel’s own (cgroup v1) with an idle process for each guest.',
  'libvirt’s answers on fixtures come from a stand-in in the same process. The real client works on threads of its own; what it costs is in the figures on real guests.',
  'Interfaces: no guest of a fixture has one, since their counters are read from sysfs of the host.',
  'Hosts with dozens of cores, where memory.stat and quota writes cost the kernel more; several NUMA nodes; busy guests in large numbers; cgroup v2’s own files at 600 guests.',
  'Live migration, SELinux relabelling, libvirt over the network.',
];

export function renderPage(run: Run): string {
  const { figures, missing } = merged(run.results);
  const rows = GOALS.flatMap(({ what, checks }) =>
    checks.map((check, at) => {
      const judged = judge(check, figures, missing);
      const { figure, verdict } = judged;
      const shown = figure === null ? '' : `${number(figure.value)} ${check.unit}`.trim();
      const from = cell(judged.figure === null ? judged.reason : judged.figure.shown);
      const growth = figure?.growth === undefined ? '' : number(figure.growth);
      const cells = [at === 0 ? what : '', check.at, goalText(check), shown, from, growth, verdict];
      return `| ${cells.join(' | ')} |`;
    }),
  );
  const verdicts = GOALS.flatMap(({ checks }) => checks.map((check) => judge(check, figures, missing).verdict));
  const count = (verdict: string): number => verdicts.filter((one) => one === verdict).length;
  const { cpu, cores, memoryGib, kernel, node, openFiles } = run.machine;
  return `# Performance

Written by \`npm run bench\`; every figure is of one run, nothing is carried over. ${run.date}: ${count('reached')} reached, ${count('missed')} missed, ${count('not run')} not run.

Machine: ${cpu}, ${cores} cores, ${memoryGib} GiB; Linux ${kernel}; Node.js ${node}; at most ${openFiles} open files a process. Costs are CPU time unless
another unit is named, medians of at least five rounds, subject and reference in turn. Take ratios, not times, to another machine. All
single values: [performance.json](performance.json).

| what | at | goal | figure | from | growth exponent | verdict |
| --- | --- | --- | --- | --- | --- | --- |
${rows.join('\n')}

## What was seen beside

${run.results.flatMap(({ notes = [] }) => notes.map((note) => `- ${note}`)).join('\n')}

## What is not measured

${NOT_MEASURED.map((one) => `- ${one}`).join('\n')}
`;
}

/** Three digits that count. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (Number.isInteger(value)) return String(value);
  return Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}

function goalText({ compare, limit, unit }: Check): string {
  const sign = { 'at most': '≤', 'at least': '≥', 'equal to': '=' }[compare];
  return `${sign} ${number(limit)} ${unit}`.trim();
}

/** One line, without what ends a cell. */
function cell(text: string): string {
  return text.split('\n')[0]?.replaceAll('|', '\\|').slice(0, 200) ?? '';
}
