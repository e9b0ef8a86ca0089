/** The reference page of all error codes as Markdown, from the catalogue: the text of docs/reference/errors.md. */
import { ERROR_CATALOGUE } from './errors.js';

export function errorReference(catalogue: Readonly<Record<string, string>> = ERROR_CATALOGUE): string {
  const rows = Object.entries(catalogue)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([code, meaning]) => `| \`${code}\` | ${meaning.replaceAll('|', '\\|')} |`);
  return [
    '# Error reference',
    '',
    '<!-- Generated from the code by `npm run generate`; do not edit. -->',
    '',
    'Every error has a stable code, which is never used for anything else. A line reads `WHERE: WHAT [CODE]; FIX`, and WHERE',
    'is `file:line:column` for text and a path otherwise.',
    '',
    '| Code | Meaning |',
    '| --- | --- |',
    ...rows,
    '',
  ].join('\n');
}
