/** Compares text with a file of the repository, or writes it when UPDATE_GOLDEN is 1. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ROOT } from '../support/paths.js';

/** `path` is relative to the repository. */
export function golden(path: string, actual: string): void {
  const file = join(ROOT, path);
  if (process.env.UPDATE_GOLDEN === '1') {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, actual);
  }
  assert.equal(actual, readFileSync(file, 'utf8'), `${path} is stale: UPDATE_GOLDEN=1 writes it anew`);
}
