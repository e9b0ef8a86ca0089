import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { systemClock } from '../../src/host/clock.js';
import { Journal } from '../../src/reconcile/journal.js';
import { formatJournal, type JournalRecord, parseJournal } from '../../src/reconcile/journal-format.js';

const record = (uuid: string, text = 'max 100000'): JournalRecord => ({
  uuid,
  name: `guest ${uuid}`,
  control: 'cpu.limit',
  instance: '1:2:3',
  settings: { 'vcpu0/cpu.max': { original: { text, from: 'xml' }, written: ['20000 100000'] } },
});

describe('journal', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'virtslad-journal-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));
  const open = async (readOnly = false): Promise<Journal> => {
    const journal = new Journal(directory, systemClock);
    await journal.load({ readOnly });
    return journal;
  };

  test('what was put is there after a restart', async () => {
    const first = await open();
    await Promise.all(['a', 'b', 'c'].map((uuid) => first.put([record(uuid)])));
    await first.remove([{ uuid: 'b', control: 'cpu.limit' }]);
    const second = await open();
    assert.deepEqual(second.uuids(), new Set(['a', 'c']));
    assert.deepEqual(second.get('a', 'cpu.limit'), record('a'));
    assert.equal(second.damaged, null);
  });

  test('a torn or altered record is lost alone, and the damaged file is put aside', async () => {
    const first = await open();
    await first.put([record('a'), record('b'), record('c')]);
    const path = join(directory, 'journal');
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replace('guest b', 'guest x'));
    const second = await open();
    assert.deepEqual(second.uuids(), new Set(['a', 'c']));
    assert.ok(second.damaged?.includes('journal.damaged-'));
    assert.deepEqual((await open()).uuids(), new Set(['a', 'c']), 'the rest is whole again');
    assert.equal((await readdir(directory)).length, 2);
  });

  test('any single truncation or flipped byte starts, keeps only true records, and is noticed', () => {
    const records = [record('a'), record('b', '5000 50000')];
    const whole = Buffer.from(formatJournal(records));
    for (let at = 0; at < whole.length; at++) {
      const flipped = Buffer.from(whole);
      flipped[at] = (flipped[at] ?? 0) ^ 0x11;
      for (const damaged of [flipped, whole.subarray(0, at)]) {
        const parsed = parseJournal(damaged.toString('utf8'));
        assert.ok(parsed.damagedLines.length > 0, `damage at byte ${at} was not noticed`);
        for (const one of parsed.records)
          assert.ok(records.some((good) => JSON.stringify(good) === JSON.stringify(one)));
      }
    }
  });

  test('a record that could not be saved covers no write until it is', async () => {
    const journal = new Journal(join(directory, 'blocked'), systemClock);
    await writeFile(join(directory, 'blocked'), 'a file where the directory would be');
    await assert.rejects(journal.put([record('a')]));
    assert.equal(journal.covers('a', 'cpu.limit'), false);
    assert.ok(journal.saveError);
    await rm(join(directory, 'blocked'));
    await journal.put([]);
    assert.equal(journal.covers('a', 'cpu.limit'), true);
    assert.equal(journal.saveError, null);
  });
});
