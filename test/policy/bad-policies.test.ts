/** What operators read when a policy is wrong: one golden page for all broken fixtures, and rules for every line of it. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { ERROR_CATALOGUE, formatProblem, type Problem } from '../../src/errors.js';
import { compile } from '../../src/policy/compile.js';
import { decodePolicy } from '../../src/policy/parse.js';
import { ROOT } from '../support/paths.js';
import { golden } from './golden.js';

const DIRECTORY = join(ROOT, 'test', 'fixtures', 'policies', 'bad');

function problemsOf(name: string): readonly Problem[] {
  const decoded = decodePolicy(name, readFileSync(join(DIRECTORY, name)));
  if ('problem' in decoded) return [decoded.problem];
  const result = compile([{ path: name, text: decoded.text }]);
  return result.ok ? [] : result.problems;
}

const NAMES = readdirSync(DIRECTORY).sort();

describe('broken policies', () => {
  it('are explained as the golden page has it', () => {
    const page = NAMES.map((name) => problemsOf(name).map(formatProblem).join('\n')).join('\n\n');
    golden('test/golden/policy/bad-policies.txt', `${page}\n`);
  });

  for (const name of NAMES) {
    it(`${name}: each problem has a place, a known code and a way out`, () => {
      const problems = problemsOf(name);
      assert.ok(problems.length > 0, 'it is accepted');
      const lines = readFileSync(join(DIRECTORY, name), 'utf8').split('\n');
      for (const { code, message, where, fix } of problems) {
        assert.ok(code in ERROR_CATALOGUE);
        assert.ok(typeof where === 'object' && where.file === name);
        assert.ok(where.line >= 1 && where.line <= lines.length, `line ${where.line}`);
        assert.ok(
          where.column >= 1 && where.column <= (lines[where.line - 1]?.length ?? 0) + 1,
          `column ${where.column}`,
        );
        assert.doesNotMatch(message, /\.$|\n|undefined|\[object/);
        assert.match(fix, /\S/);
        // biome-ignore lint/suspicious/noControlCharactersInRegex: an error line must not carry any
        assert.doesNotMatch(message + fix, /[\u0000-\u001f\u007f-\u009f]/);
      }
      const places = problems.map(({ where }) => (typeof where === 'object' ? where.line * 1e6 + where.column : 0));
      assert.deepEqual(
        places,
        places.toSorted((a, b) => a - b),
      );
    });
  }

  it('reads like a sentence at 3 a.m.', () => {
    const found = problemsOf('values.yaml').map(formatProblem);
    assert.ok(
      found.includes(
        'values.yaml:6:33: cpu.limit "200%" is over 100 % [POLICY_VALUE_RANGE]; 100% is all vCPUs all the time, ' +
          'write 100% or less, or an amount in cores',
      ),
      found.join('\n'),
    );
  });
});
