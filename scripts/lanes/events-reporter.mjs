// A node:test reporter that writes one JSON line an event; `test-files.mjs` reads them back. Suites are left out: they
// are headings, not tests. A test that failed only because of its subtests is left out too: they are counted.
import { inspect } from 'node:util';

export default async function* events(source) {
  for await (const { type, data } of source) {
    if (type === 'test:diagnostic' && data.nesting === 0 && isTotals(data.message)) continue;
    if (type === 'test:diagnostic') yield line({ event: 'note', text: data.message });
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    if (data.details?.type === 'suite') continue;
    const error = data.details?.error;
    if (error?.failureType === 'subtestsFailed') continue;
    yield line({
      event: outcome(type, data),
      name: data.name,
      nesting: data.nesting,
      seconds: (data.details?.duration_ms ?? 0) / 1000,
      reason: typeof data.skip === 'string' ? data.skip : typeof data.todo === 'string' ? data.todo : '',
      error: type === 'test:fail' ? describe(error) : '',
    });
  }
  yield line({ event: 'end' });
}

function outcome(type, data) {
  if (data.skip === 'test name does not match pattern') return 'unselected';
  if (data.skip !== undefined || data.todo !== undefined) return 'skip';
  return type === 'test:pass' ? 'pass' : 'fail';
}

/** node:test ends a run with its own totals; ours cover all files. */
function isTotals(message) {
  return /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+$/.test(message);
}

function describe(error) {
  const cause = error?.cause ?? error;
  if (!(cause instanceof Error)) return String(cause);
  return inspect(cause, { depth: 3 }).replace(/\n\s+at [^\n]*\(?node:[^\n]*/g, '');
}

function line(event) {
  return `${JSON.stringify(event)}\n`;
}
