/** Hostile and damaged files: bombs are refused cheaply, and no byte that changes makes the compiler throw. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { Problem } from '../../src/errors.js';
import { compile } from '../../src/policy/compile.js';
import { decodePolicy } from '../../src/policy/parse.js';
import { POLICY_BYTES_MAX } from '../../src/policy/scan.js';
import { ROOT } from '../support/paths.js';

function problemsOf(bytes: Uint8Array): readonly Problem[] {
  const decoded = decodePolicy('p.yaml', bytes);
  if ('problem' in decoded) return [decoded.problem];
  const result = compile([{ path: 'p.yaml', text: decoded.text }]);
  return result.ok ? [] : result.problems;
}

function codesOf(text: string): readonly string[] {
  return problemsOf(new TextEncoder().encode(text)).map(({ code }) => code);
}

describe('limits', () => {
  it('256 KiB are read, a byte more is not', () => {
    const head = 'version: 1\n#';
    assert.deepEqual(codesOf(head.padEnd(POLICY_BYTES_MAX, 'x')), []);
    assert.deepEqual(codesOf(head.padEnd(POLICY_BYTES_MAX + 1, 'x')), ['POLICY_FILE_SIZE']);
    // Bytes count, not characters.
    assert.deepEqual(codesOf(head.padEnd(POLICY_BYTES_MAX / 2, 'ä')), []);
    assert.deepEqual(codesOf(head.padEnd(POLICY_BYTES_MAX - 1000, 'ä')), ['POLICY_FILE_SIZE']);
  });

  it('32 levels are read, 33 are not', () => {
    const nested = (levels: number): string => `version: 1\nx: ${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}\n`;
    assert.deepEqual(codesOf(nested(32)), ['POLICY_UNKNOWN_KEY']);
    assert.deepEqual(codesOf(nested(33)), ['POLICY_YAML_DEPTH']);
    const block = (levels: number): string =>
      `version: 1\n${Array.from({ length: levels }, (_, i) => `${'  '.repeat(i)}x:`).join('\n')} 1\n`;
    assert.deepEqual(codesOf(block(32)), ['POLICY_UNKNOWN_KEY']);
    assert.deepEqual(codesOf(block(33)), ['POLICY_YAML_DEPTH']);
  });

  // Each of these fills the file with one thing. Two seconds are the deadline of the loader's worker.
  const bombs: Readonly<Record<string, string>> = {
    'open lists': '['.repeat(200_000),
    'open maps': '{a: '.repeat(50_000),
    'lists in a line': '- '.repeat(100_000),
    'question marks': '? '.repeat(100_000),
    quotes: '"'.repeat(200_000),
    commas: `[${','.repeat(50_000)}]`,
    documents: '---\n'.repeat(50_000),
    aliases: '*a '.repeat(60_000),
    anchors: '&a '.repeat(60_000),
    tags: '!a '.repeat(60_000),
    keys: Array.from({ length: 20_000 }, (_, i) => `k${i}: 1`).join('\n'),
    'the same key': 'k: 1\n'.repeat(40_000),
    classes: `version: 1\nclasses:\n${Array.from({ length: 10_000 }, (_, i) => `  C${i}: {}`).join('\n')}`,
    'empty lines': `a: |\n${'\n'.repeat(200_000)}`,
    'a long key': `version: 1\n"${'x'.repeat(100_000)}": 1\n`,
    'a long pattern': `version: 1\nclasses: { a: {} }\nassignments: [{ class: a, match: { name: "${'*['.repeat(50_000)}" } }]`,
    colons: ':'.repeat(200_000),
    indentation: Array.from({ length: 600 }, (_, i) => `${' '.repeat(i)}a:`).join('\n'),
  };
  for (const [name, text] of Object.entries(bombs)) {
    it(`a file full of ${name} is refused, with few lines`, () => {
      const problems = problemsOf(new TextEncoder().encode(text));
      assert.ok(problems.length > 0 && problems.length <= 201, `${problems.length} problems`);
      assert.ok(problems.every(({ message }) => message.length < 400));
    });
  }
});

describe('a damaged file', () => {
  /** Small, fast and the same on every run: mulberry32. */
  function randomFrom(seed: number): () => number {
    let state = seed;
    return () => {
      state = (state + 0x6d2b79f5) | 0;
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
    };
  }

  it('never makes the compiler throw, and each problem says where', () => {
    const original = readFileSync(join(ROOT, 'test', 'fixtures', 'policies', 'full.yaml'));
    assert.deepEqual(problemsOf(original), []);
    const random = randomFrom(20_260_101);
    let refused = 0;
    for (let run = 0; run < 2000; run++) {
      const bytes = Uint8Array.from(original);
      for (let changes = 1 + Math.floor(random() * 3); changes > 0; changes--) {
        bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
      }
      const problems = problemsOf(bytes);
      if (problems.length > 0) refused++;
      for (const { where, code, message } of problems) {
        const place = typeof where === 'object' && where.file === 'p.yaml' && where.line >= 1 && where.column >= 1;
        assert.ok(place, `run ${run}: ${code} ${message}`);
      }
    }
    assert.ok(refused > 1000, `only ${refused} of 2000 were refused`);
  });

  it('cut short anywhere is refused or good, never a crash', () => {
    const original = readFileSync(join(ROOT, 'test', 'fixtures', 'policies', 'full.yaml'));
    for (let length = 0; length < original.length; length += 7) {
      for (const { where } of problemsOf(original.subarray(0, length))) assert.ok(typeof where === 'object');
    }
  });
});
