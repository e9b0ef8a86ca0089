import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { VirtsladError } from '../src/errors.js';
import { createLog, type LogOptions, type ProcessLog } from '../src/log.js';
import { NAME_LENGTH_MAX, printable } from '../src/text/printable.js';
import { HOSTILE_NAME } from './fixtures/snapshot.js';

interface Capture {
  readonly log: ProcessLog;
  readonly lines: string[];
  clockMs: number;
}

function capture(options: Partial<LogOptions> = {}): Capture {
  const lines: string[] = [];
  const state: Capture = {
    lines,
    clockMs: 0,
    log: createLog({
      level: 'info',
      format: 'json',
      sink: { write: (line) => lines.push(line) },
      now: () => Date.UTC(2026, 0, 15, 12),
      monotonic: () => state.clockMs,
      ...options,
    }),
  };
  return state;
}

test('a JSON line has the event, the level as a word, an ISO time, fields and message', () => {
  const { log, lines } = capture();
  log.warn('drift.repaired', { domain: 'db-1', control: 'cpu.limit', from: 'max 100000', count: 2n }, 'put back');
  assert.deepEqual(JSON.parse(lines[0] ?? ''), {
    level: 'warn',
    time: '2026-01-15T12:00:00.000Z',
    event: 'drift.repaired',
    domain: 'db-1',
    control: 'cpu.limit',
    from: 'max 100000',
    count: '2',
    message: 'put back',
  });
  assert.match(lines[0] ?? '', /"event".*"domain"/);
});

test('fields cannot take the place of event, level, time or message', () => {
  const { log, lines } = capture();
  log.info('real', { event: 'forged', level: 'error', time: 'never', message: 'forged', uuid: 'u' });
  assert.equal(lines[0], '{"level":"info","time":"2026-01-15T12:00:00.000Z","event":"real","uuid":"u"}\n');
});

test('lines below the level are not written', () => {
  const { log, lines } = capture({ level: 'warn' });
  log.info('quiet', {});
  log.error('loud', {});
  assert.equal(lines.length, 1);
});

test('a hostile guest name stays on its line, escaped and cut, in every format', () => {
  for (const format of ['json', 'logfmt', 'text'] as const) {
    const { log, lines } = capture({ format });
    log.info('guest.seen', { domain: HOSTILE_NAME, nested: { deep: ['\u001b[2J'] } });
    const line = lines[0] ?? '';
    assert.equal(line.split('\n').length, 2, format);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: none may be left
    assert.doesNotMatch(line.slice(0, -1), /[\u0000-\u001f\u007f-\u009f\u202e]/);
    assert.ok(line.length < 400, `${format}: ${line.length}`);
  }
});

test('logfmt and text quote what is more than one word', () => {
  const logfmt = capture({ format: 'logfmt' });
  logfmt.log.info('control.write', { domain: 'a b', to: 'max', count: 3, asked: null }, 'wrote');
  assert.equal(
    logfmt.lines[0],
    'time=2026-01-15T12:00:00.000Z level=info event=control.write message=wrote domain="a b" to=max count=3 asked=null\n',
  );
  const text = capture({ format: 'text' });
  text.log.error('apply.failed', { domain: 'db-1', path: '/x=y' }, 'could not write');
  assert.equal(text.lines[0], '2026-01-15T12:00:00.000Z ERROR apply.failed could not write domain=db-1 path="/x=y"\n');
});

test('under journald a line starts with its priority and text has no second time', () => {
  const text = capture({ format: 'text', journald: true });
  text.log.warn('x.y', { a: 1 });
  assert.equal(text.lines[0], '<4>x.y a=1\n');
  const json = capture({ journald: true });
  json.log.error('x.y', {});
  assert.match(json.lines[0] ?? '', /^<3>\{"level":"error"/);
});

test('errors show code and message; an error of our own shows its problems and no stack', () => {
  const { log, lines } = capture();
  log.error('a', { error: Object.assign(new Error('disk full'), { code: 'ENOSPC' }) });
  log.error('b', { error: new VirtsladError({ code: 'INTERNAL', message: 'm', fix: 'f' }) });
  const [first, second] = lines.map((line) => JSON.parse(line) as { error: Record<string, unknown> });
  assert.equal(first?.error.code, 'ENOSPC');
  assert.equal(first?.error.message, 'disk full');
  assert.deepEqual(second?.error, [{ code: 'INTERNAL', message: 'm', fix: 'f' }]);
});

test('repeats about one thing are counted after the limit, and the count is told later', () => {
  const state = capture({ perMinute: 2 });
  for (let n = 0; n < 5; n++) state.log.warn('drift', { domain: 'db-1', control: 'cpu.limit', n });
  state.log.warn('drift', { domain: 'db-2', control: 'cpu.limit' });
  assert.equal(state.lines.length, 3, 'two of db-1, one of db-2');
  state.clockMs = 60_000;
  state.log.warn('drift', { domain: 'db-1', control: 'cpu.limit', n: 5 });
  const after = state.lines.slice(3).map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(after[0]?.of, { event: 'drift', domain: 'db-1', control: 'cpu.limit' });
  assert.equal(after[0]?.count, 3);
  assert.equal(after[1]?.n, 5);
  assert.equal(after.length, 2, 'nothing is said of db-2, which lost no line');
});

test('flush tells what was suppressed and flushes the sink', () => {
  let flushed = 0;
  const lines: string[] = [];
  const sink = { write: (line: string) => lines.push(line), flushSync: () => flushed++ };
  const log = createLog({ level: 'info', format: 'json', sink, perMinute: 1, monotonic: () => 0 });
  log.info('a', {});
  log.info('a', {});
  log.flush();
  assert.equal(flushed, 1);
  assert.match(lines[1] ?? '', /"event":"log.suppressed".*"count":1/);
});

test('an endless choice of names does not grow the table of kinds without end', () => {
  const { log, lines } = capture({ perMinute: 1 });
  log.info('seen', { domain: 'first' });
  for (let n = 0; n < 10_000; n++) log.info('seen', { domain: `n${n}` });
  // The table was emptied on the way, so the first name counts as new again.
  log.info('seen', { domain: 'first' });
  assert.equal(lines.filter((line) => line.includes('"first"')).length, 2);
});

test('the default sink is stderr and stdout stays clean', () => {
  const script = `import { createLog } from ${JSON.stringify(new URL('../src/log.js', import.meta.url).href)};
    const log = createLog({ level: 'info', format: 'json' }); log.info('hello', { a: 1 }); log.flush();`;
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  assert.equal(run.stdout, '');
  assert.match(run.stderr, /"event":"hello","a":1\}\n$/);
});

test('printable: one line, NFC, capped by characters, never half a surrogate pair', () => {
  assert.equal(printable('a\nb\u0000\u009b\u2028'), 'a\\u000ab\\u0000\\u009b\\u2028');
  assert.equal(printable('e\u0301'), '\u00e9');
  assert.equal(printable('\ud800x'), '\\ud800x');
  assert.equal(printable('plain-name_1.x'), 'plain-name_1.x');
  assert.equal([...printable('😀'.repeat(500))].length, NAME_LENGTH_MAX);
  assert.equal(printable('😀'.repeat(500)).endsWith('😀…'), true);
  assert.equal(printable('x'.repeat(128)), 'x'.repeat(128));
  assert.equal(printable('x'.repeat(129)), `${'x'.repeat(127)}…`);
  assert.equal(printable('\u0001'.repeat(128)).length <= 128, true);
});
