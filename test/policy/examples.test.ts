/** The policies that ship: each is good alone, all are good together, and they do what they teach. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { formatProblem } from '../../src/errors.js';
import { type CompileResult, compile, type PolicyFile } from '../../src/policy/compile.js';
import { assign } from '../../src/policy/match.js';
import type { CpuAmount } from '../../src/policy/types.js';
import { ROOT } from '../support/paths.js';

const DIRECTORY = join(ROOT, 'policies');
const FILES: readonly PolicyFile[] = readdirSync(DIRECTORY)
  .sort()
  .map((path) => ({ path, text: readFileSync(join(DIRECTORY, path), 'utf8') }));

function assertGood(result: CompileResult): asserts result is Extract<CompileResult, { ok: true }> {
  const lines = (result.ok ? result.warnings : result.problems).map(formatProblem);
  assert.deepEqual(lines, []);
}

const COMMENTED_OUT = /^( *)# (?=(?:schedules|memory|disk|network|svirt|hard|high|merge|pin|via):| {2,}|- \{)/gm;

/** The file with its commented-out lines of YAML in force: what an operator gets who follows the comments. */
function uncommented({ path, text }: PolicyFile): PolicyFile {
  return { path, text: text.replace(COMMENTED_OUT, '$1') };
}

describe('the example policies', () => {
  for (const file of FILES) {
    it(`${file.path} is good alone`, () => assertGood(compile([file])));

    it(`${file.path} names its schema in the first line`, () => {
      assert.equal(file.text.split('\n')[0], '# yaml-language-server: $schema=../schema/policy.schema.json');
    });

    it(`${file.path} stays good when what is commented out is put in force`, () => {
      const { path, text } = uncommented(file);
      assert.notEqual(text, file.text);
      assertGood(compile([{ path, text }]));
    });
  }

  it('are good together', () => assertGood(compile(FILES)));

  it('put db-*, web-*, batch-* and all others into classes, "any" only in the last file', () => {
    const result = compile(FILES);
    assertGood(result);
    const { generation } = result;
    const classOf = (name: string): string | undefined =>
      assign(generation, { uuid: '', name, title: '', description: '', metadata: [] })?.className;
    const names = ['db-1', 'web-1', 'app-1', 'vdi-1', 'desktop-1', 'tenant-1', 'batch-1', 'other'];
    assert.deepEqual(names.map(classOf), [
      ...['gold', 'silver', 'silver', 'desktop', 'desktop', 'tenant', 'bronze', 'bronze'],
    ]);
    const withAny = FILES.filter(({ text }) => /^[^#]*any: true/m.test(text)).map(({ path }) => path);
    assert.deepEqual(withAny, [FILES.at(-1)?.path]);
  });

  it('can be kept by a host of two cores with a guest of each class', () => {
    const result = compile(FILES);
    assertGood(result);
    const shares = [...result.generation.classes.values()].map(({ values }) => {
      const [guarantee, limit] = ['cpu.guarantee', 'cpu.limit'].map((key) => values.get(key)?.value as CpuAmount);
      assert.ok(guarantee?.unit === 'percent' && limit?.unit === 'percent');
      assert.ok(guarantee.fraction < limit.fraction);
      return guarantee.fraction;
    });
    assert.ok(shares.reduce((sum, share) => sum + share, 0) <= 2);
  });
});
