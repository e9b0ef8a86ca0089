/** What the recorder writes down of a stretch of code. */
import assert from 'node:assert/strict';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { record } from '../../bench/recorder.js';

test('each access is written down once, and nothing afterwards', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'virtslad-recorder-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'file');
  writeFileSync(file, 'text');
  const kept = openSync(file, 'r+');
  const buffer = Buffer.alloc(16);
  const recorded = await record(async () => {
    readSync(kept, buffer, 0, 16, 0);
    const fresh = openSync(`/proc/self/fd/${kept}`, 'r');
    readSync(fresh, buffer, 0, 16, 0);
    closeSync(fresh);
    readFileSync(file, 'latin1');
    readFileSync(file, 'utf8');
    readFileSync(file);
    readdirSync(directory);
    existsSync(file);
    existsSync(join(directory, 'none'));
    assert.throws(() => readFileSync(join(directory, 'none'), 'latin1'));
    writeSync(kept, 'more', 0);
  });
  readFileSync(file, 'latin1');
  closeSync(kept);
  assert.deepEqual(
    recorded.map(({ access, path }) => `${access} ${path.slice(directory.length)}`),
    [
      'kept /file',
      'opened /file',
      'opened /file',
      'opened /file',
      'opened /file',
      'listed ',
      'status /file',
      'status /none',
      'status /none',
      'write /file',
    ],
  );
});
