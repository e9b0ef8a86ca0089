/** Shorthand for tests: policy texts in, a generation or error lines out. */
import assert from 'node:assert/strict';
import { formatProblem } from '../../src/errors.js';
import { type CompileResult, compile } from '../../src/policy/compile.js';
import type { Generation, PolicyClass } from '../../src/policy/types.js';

/** Compiles one file, `p.yaml`. */
export function compileText(text: string): CompileResult {
  return compile([{ path: 'p.yaml', text }]);
}

export function generationOf(text: string): Generation {
  const result = compileText(text);
  assert.ok(result.ok, result.ok ? '' : result.problems.map(formatProblem).join('\n'));
  return result.generation;
}

/** The class `gold` of a policy whose other lines are given, indented as a class body. */
export function goldClass(body: string): PolicyClass {
  return generationOf(`version: 1\nclasses:\n  gold: ${body}\n`).classes.get('gold') ?? assert.fail('no class gold');
}

/** Error lines; empty when the text is good. */
export function errorsOf(text: string): readonly string[] {
  const result = compileText(text);
  return result.ok ? [] : result.problems.map(formatProblem);
}
