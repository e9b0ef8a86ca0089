/** Errors and warnings for people: each with its place, what is wrong, what to do, and its stable code. */
import { formatPosition, type Problem } from '../../errors.js';
import { printable } from '../../text/printable.js';
import { styleFor } from './style.js';
import { plural } from './words.js';

export type Severity = 'error' | 'warning';

/**
 * Two lines a problem, `WHERE: error: MESSAGE [CODE]` and `  → FIX`; a count when there is more than one. The place
 * comes first, so that editors and terminals can jump to it.
 */
export function renderProblems(problems: readonly Problem[], severity: Severity, color: boolean): string {
  const style = styleFor(color);
  const paint = severity === 'error' ? style.red : style.yellow;
  const lines = problems.flatMap((problem) => {
    const where = whereOf(problem);
    const place = where === '' ? '' : `${style.bold(where)}: `;
    const message = printable(problem.message, 2048);
    return [
      `${place}${paint(`${severity}:`)} ${message} ${style.dim(`[${problem.code}]`)}`,
      `  → ${printable(problem.fix, 2048)}`,
    ];
  });
  if (problems.length > 1) lines.push(plural(problems.length, severity));
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

function whereOf(problem: Problem): string {
  const { where } = problem;
  if (where === undefined) return '';
  return printable(typeof where === 'string' ? where : formatPosition(where), 1024);
}
