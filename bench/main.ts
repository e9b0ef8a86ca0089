/**
 * `npm run bench`: every measurement in turn, each in a process of its own, then `docs/performance.md` and its raw figures.
 *
 *     npm run bench -- [--only NAME,NAME] [--short] [--print]
 *
 * `--short` is for continuous integration: no writes at rest, growth, stalls; exit code 1 when one is missed. `--print` and
 * `--only` show the page instead of writing it.
 */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { stopOnSignals } from '../test/support/cleanup.js';
import { ROOT } from '../test/support/paths.js';
import { type Check, judge, merged } from './goals.js';
import { growthResult } from './growth.js';
import { machineFacts } from './machine.js';
import { MEASUREMENTS, SHORT_MEASUREMENTS } from './measurements.js';
import { number, type Run, renderPage } from './page.js';
import type { Result } from './result.js';
import { MEMORY_DIRECTORY } from './scratch.js';

const MEASURE = fileURLToPath(new URL('./measure.js', import.meta.url));
/** Of one measurement; none takes a third of it on a quiet machine. */
const LIMIT_MS = 600_000;
/** What `--short` fails for. A ratio to C needs a quiet machine and is none of them. */
const SHORT_CHECKS: readonly Check[] = [
  { id: 'writes-200', at: 'writes at rest, 200 guests', compare: 'equal to', limit: 0, unit: '' },
  { id: 'writes-800', at: 'writes at rest, 800 guests', compare: 'equal to', limit: 0, unit: '' },
  // Two sizes and few rounds on a busy machine: what is wrong in kind shows (1.5 and more), what is dear does not.
  { id: 'growth-cycle', at: 'growth exponent of a cycle', compare: 'at most', limit: 1.3, unit: '' },
  { id: 'stall', at: 'stall of the event loop, median of cycles', compare: 'at most', limit: 25, unit: 'ms' },
];

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    short: { type: 'boolean', default: false },
    print: { type: 'boolean', default: false },
  },
});
const all = values.short ? SHORT_MEASUREMENTS : MEASUREMENTS;
const only = values.only?.split(',');
const measurements = all.filter(({ name }) => only?.some((one) => name.startsWith(one)) ?? true);

let stopCurrent: () => Promise<void> = async () => undefined;
stopOnSignals(() => stopCurrent());

const results: (Result & { name: string })[] = [];
for (const { name, gives } of measurements) {
  const started = performance.now();
  process.stderr.write(`${name} … `);
  const result = await measure(name).catch(
    (error: Error): Result => ({
      figures: [],
      raw: {},
      missing: gives.map((id) => ({ id, reason: error.message })),
    }),
  );
  results.push({ name, ...result });
  process.stderr.write(`${((performance.now() - started) / 1000).toFixed(0)} s\n`);
  for (const { id, value, shown } of result.figures) process.stderr.write(`  ${id}: ${number(value)} (${shown})\n`);
  for (const { id, reason } of result.missing ?? []) process.stderr.write(`  ${id}: ${reason.split('\n')[0]}\n`);
  for (const note of result.notes ?? []) process.stderr.write(`  ${note}\n`);
}

results.push({ name: 'growth', ...growthResult(results, values.short) });

const run: Run = { machine: machineFacts(), date: new Date().toISOString().slice(0, 10), results };
if (values.short) process.exitCode = reportShort(run);
else if (values.print || values.only !== undefined) console.log(renderPage(run));
else {
  writeFileSync(join(ROOT, 'docs', 'performance.md'), renderPage(run));
  writeFileSync(join(ROOT, 'docs', 'performance.json'), `${JSON.stringify(compact(run), null, 1)}\n`);
  console.log('docs/performance.md and docs/performance.json are written.');
}
process.exit();

function measure(name: string): Promise<Result> {
  const child = spawn(process.execPath, ['--expose-gc', MEASURE, name, ...(values.short ? ['--short'] : [])], {
    stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
    env: { ...process.env, TMPDIR: MEMORY_DIRECTORY },
    detached: true,
  });
  let text = '';
  child.stdio[3]?.on('data', (chunk) => {
    text += chunk;
  });
  const limit = setTimeout(() => child.kill('SIGTERM'), LIMIT_MS);
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  stopCurrent = async () => {
    child.kill('SIGTERM');
    await ended;
  };
  return ended.then(() => {
    clearTimeout(limit);
    if (text === '') throw new Error(`the measurement ended with ${child.exitCode ?? child.signalCode} and no result`);
    return JSON.parse(text) as Result;
  });
}

function reportShort(short: Run): number {
  const { figures, missing } = merged(short.results);
  let failed = 0;
  for (const check of SHORT_CHECKS) {
    const judged = judge(check, figures, missing);
    const found = judged.figure === null ? judged.reason : `${number(judged.figure.value)} ${check.unit}`.trim();
    console.log(
      `${judged.verdict.padEnd(8)} ${check.at}: ${found} (${check.compare} ${`${check.limit} ${check.unit}`.trim()})`,
    );
    if (judged.verdict !== 'reached') failed++;
  }
  return failed === 0 ? 0 : 1;
}

/** Numbers of at most five digits that count. */
function compact(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (_key, one) => (typeof one === 'number' ? Number(one.toPrecision(5)) : one)));
}
