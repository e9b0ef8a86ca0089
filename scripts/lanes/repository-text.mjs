// Rules for the text of the repository itself: what a reader of a clone cannot use has no place in it. Takes the paths
// and contents of the tracked files; gives one line for each breach.
import { readFileSync, statSync } from 'node:fs';
import { extname, join } from 'node:path';

const TEXT = new Set([
  '.ts',
  '.mjs',
  '.js',
  '.json',
  '.md',
  '.yaml',
  '.yml',
  '.txt',
  '.service',
  '.sh',
  '.html',
  '.css',
  '',
]);
const MAX_BYTES = 1024 * 1024;

/** A pattern and why a match is wrong. `files` narrows the rule. */
export const TEXT_RULES = [
  {
    pattern: /"resolved":/,
    files: /(^|\/)package-lock\.json$/,
    why: 'the lock file names a registry host; npm config omit-lockfile-registry-resolved=true',
  },
  {
    pattern: /\b(?:issues?|ticket|pull request|PR|fixes|closes|resolves) #\d+/i,
    why: 'a number that means nothing without its tracker',
  },
  { pattern: /(?<![\w.])\/(?:home|Users)\/[a-z]\w*\//, why: 'a path of one machine' },
  { pattern: /\b(?:FIXME|XXX|TODO)\b/, files: /\.(?:ts|mjs|md|yaml)$/, why: 'unfinished work belongs in the tracker' },
  { pattern: /^(?:<{7}|>{7}) /m, why: 'a merge conflict' },
  { pattern: /\r/, why: 'a carriage return' },
  { pattern: /[ \t]+$/m, files: /\.(?:ts|mjs|yaml|yml|service)$/, why: 'white space at the end of a line' },
];

/**
 * @param {string} root
 * @param {readonly string[]} paths relative to `root`
 * @returns {string[]} `path:line: why`
 */
export function checkRepositoryText(root, paths) {
  const breaches = [];
  for (const path of paths) {
    const size = statSync(join(root, path), { throwIfNoEntry: false })?.size;
    if (size === undefined) continue;
    if (size > MAX_BYTES) breaches.push(`${path}:1: larger than 1 MiB`);
    if (!TEXT.has(extname(path)) || path === 'LICENSE') continue;
    const text = readFileSync(join(root, path), 'utf8');
    breaches.push(...checkText(path, text));
  }
  return breaches;
}

/** @returns {string[]} */
export function checkText(path, text) {
  // Fixtures and goldens are data: they may hold anything.
  if (/^test\/(?:fixtures|golden)\//.test(path) || path === 'scripts/lanes/repository-text.mjs') return [];
  const breaches = [];
  for (const { pattern, files, why } of TEXT_RULES) {
    if (files !== undefined && !files.test(path)) continue;
    const match = pattern.exec(text);
    if (match !== null) breaches.push(`${path}:${text.slice(0, match.index).split('\n').length}: ${why}`);
  }
  if (text !== '' && !text.endsWith('\n')) breaches.push(`${path}:${text.split('\n').length}: no newline at the end`);
  return breaches;
}
