/** The small pieces of text: spans, times, cells, colour, suggestions, the command line's words. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseCommand } from '../../src/cli/arguments.js';
import { wrap } from '../../src/cli/help.js';
import { cut, pad, widthOf } from '../../src/cli/render/cell.js';
import { wantsColor } from '../../src/cli/render/style.js';
import { renderTable } from '../../src/cli/render/table.js';
import { someOf, span, timeOf } from '../../src/cli/render/words.js';
import { PLANNED_VERBS, VERBS } from '../../src/cli/verbs.js';
import { editDistance, nearest } from '../../src/config/suggest.js';

test('span gives the two largest units', () => {
  const rows: readonly [ms: number, words: string][] = [
    [-5, '0s'],
    [0, '0s'],
    [499, '0s'],
    [45_000, '45s'],
    [185_000, '3m 5s'],
    [3_600_000, '1h'],
    [3_605_000, '1h'],
    [5_400_000, '1h 30m'],
    [86_400_000 * 4 + 3_600_000 * 6 + 60_000, '4d 6h'],
  ];
  for (const [ms, words] of rows) assert.equal(span(ms), words);
});

test('times say their zone', () => {
  const ms = Date.UTC(2026, 6, 1, 1, 2, 3);
  assert.equal(timeOf(ms, 'UTC'), '2026-07-01 01:02:03Z');
  assert.equal(timeOf(ms, 'Etc/UTC'), '2026-07-01 01:02:03Z');
  assert.equal(timeOf(ms, 'Europe/Berlin'), '2026-07-01 03:02:03+02:00');
  assert.equal(timeOf(ms, 'America/St_Johns'), '2026-06-30 22:32:03-02:30');
  assert.equal(timeOf(ms, 'Africa/Abidjan'), '2026-07-01 01:02:03Z');
});

test('long lists are cut with a count, and names made safe', () => {
  assert.equal(someOf(['a', 'b']), 'a, b');
  assert.equal(someOf(['a', 'b', 'c', 'd\n', 'e', 'f', 'g']), 'a, b, c, d\\u000a, e and 2 more');
});

describe('cells', () => {
  test('widths', () => {
    assert.equal(widthOf('abc'), 3);
    assert.equal(widthOf('数据'), 4);
    assert.equal(widthOf('e\u0301'), 1);
    assert.equal(widthOf('🐘x'), 3);
    assert.equal(widthOf('–…█'), 3);
  });
  test('cutting never exceeds the width and marks the cut', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 30 }), fc.integer({ min: 0, max: 30 }), (text, width) => {
        const short = cut(text, width);
        assert.ok(widthOf(short) <= width);
        if (widthOf(text) <= width) assert.equal(short, text);
        else if (width > 0) assert.ok(short.endsWith('…'));
      }),
    );
  });
  test('padding', () => {
    assert.equal(pad('数', 4), '数  ');
    assert.equal(pad('1', 3, 'right'), '  1');
    assert.equal(pad('long', 2), 'long');
  });
});

test('a table shrinks the widest first, then drops the expendable, and never cuts a number', () => {
  const columns = [
    { title: 'A', shrinkTo: 4 },
    { title: 'N', align: 'right' as const },
    { title: 'X', expendable: 1 },
    { title: 'B', shrinkTo: 4 },
  ];
  const rows = [[{ text: 'a'.repeat(20) }, { text: '123456' }, { text: 'xxxx' }, { text: 'b'.repeat(10) }]];
  const at = (width: number) => renderTable(columns, rows, { width })[1];
  assert.equal(at(60), 'aaaaaaaaaaaaaaaaaaaa  123456  xxxx  bbbbbbbbbb');
  assert.equal(at(40), 'aaaaaaaaaaaaa…  123456  xxxx  bbbbbbbbbb');
  assert.equal(at(24), 'aaa…  123456  xxxx  bbb…');
  assert.equal(at(20), 'aaaa…  123456  bbbb…');
  assert.equal(at(5), 'aaa…  123456  bbb…', 'what cannot shrink stays');
});

test('colour', () => {
  const rows: readonly [terminal: boolean, environment: Record<string, string>, wanted: boolean][] = [
    [true, {}, true],
    [false, {}, false],
    [true, { TERM: 'dumb' }, false],
    [true, { NO_COLOR: '1' }, false],
    [true, { NO_COLOR: '' }, true],
    [false, { FORCE_COLOR: '1' }, true],
    [true, { FORCE_COLOR: '0' }, false],
    [false, { FORCE_COLOR: '1', NO_COLOR: '1' }, false],
  ];
  for (const [terminal, environment, wanted] of rows) {
    assert.equal(wantsColor(terminal, environment), wanted, JSON.stringify([terminal, environment]));
  }
});

test('wrapping keeps every word and the width', () => {
  assert.deepEqual(wrap('one two three', 7), ['one two', 'three']);
  assert.deepEqual(wrap('extraordinarily x', 5), ['extraordinarily', 'x']);
});

describe('suggestions', () => {
  test('distance counts a swap as one', () => {
    assert.equal(editDistance('paln', 'plan'), 1);
    assert.equal(editDistance('', 'abc'), 3);
    assert.equal(editDistance('same', 'same'), 0);
  });
  test('nothing is suggested for nonsense', () => {
    assert.equal(nearest('xyzzy', ['plan', 'apply']), null);
    assert.equal(nearest('staus', ['status', 'schema']), 'status');
    assert.equal(nearest('p'.repeat(1_000_000), ['plan']), null);
  });
});

describe('the words of the command line', () => {
  function parse(...words: string[]) {
    return parseCommand(words, VERBS, PLANNED_VERBS);
  }
  function wrong(...words: string[]): string {
    const parsed = parse(...words);
    assert.equal(parsed.kind, 'wrong');
    return parsed.kind === 'wrong' ? parsed.problems.map(({ message, fix }) => `${message}; ${fix}`).join('\n') : '';
  }
  test('common flags may stand before the verb', () => {
    const parsed = parse('--config', 'plan', '-o', 'json', 'status', 'db-1');
    assert.equal(parsed.kind, 'run');
    if (parsed.kind !== 'run') return;
    assert.equal(parsed.invocation.verb.name, 'status');
    assert.deepEqual({ ...parsed.invocation.flags }, { config: 'plan', output: 'json' });
    assert.deepEqual(parsed.invocation.arguments, ['db-1']);
  });
  test('a guest whose name looks like a flag goes after --', () => {
    const parsed = parse('explain', '--', '--help');
    assert.deepEqual(parsed.kind === 'run' && parsed.invocation.arguments, ['--help']);
  });
  test('mistakes and what to do', () => {
    assert.match(wrong('pln'), /there is no command pln; did you mean virtslad plan\?/);
    assert.match(wrong('xyzzy'), /commands: run, check,/);
    assert.match(wrong('report'), /not built yet/);
    assert.match(wrong('plan', '--detailed'), /has no flag --detailed; /);
    assert.match(wrong('plan', '--polcy-dir', 'x'), /did you mean --policy-dir\?/);
    assert.match(wrong('plan', '--mode'), /--mode needs a value; write --mode enforce\|observe/);
    assert.match(wrong('plan', '--mode', '--verbose'), /--mode needs a value/);
    assert.match(wrong('plan', '--verbose=yes'), /--verbose takes no value/);
    assert.match(wrong('plan', '-o', 'jsn'), /did you mean json\?/);
    assert.match(wrong('schema', '-o', 'json'), /virtslad schema has no flag -o/);
    assert.match(wrong('explain'), /needs DOMAIN/);
    assert.match(wrong('explain', 'a', 'b'), /surplus argument "b"/);
    assert.match(wrong('explain', 'a', '\u001b[2J'), /surplus argument "\\u001b\[2J"/);
  });
  test('all mistakes are told at once', () => assert.equal(wrong('explain', '--foo', '--bar').split('\n').length, 3));
  test('any words give an answer', () => {
    const word = fc.oneof(
      fc.constantFrom(
        ...VERBS.map(({ name }) => name),
        '--',
        '-',
        '-o',
        '--config',
        '--help=x',
        '--__proto__',
        '--constructor',
      ),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 6 }), (words) => {
        assert.ok(['run', 'help', 'version', 'wrong'].includes(parse(...words).kind));
      }),
    );
  });
});
