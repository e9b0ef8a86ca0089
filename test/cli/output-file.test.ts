/** A file that a command was told to write: whole, readable by all, left alone when it is current. */
import assert from 'node:assert/strict';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { replaceOutputFile } from '../../src/host/output-file.js';

async function inDirectory(act: (directory: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'virtslad-output-'));
  try {
    await act(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

test('is made, left alone when it is current, and replaced', () =>
  inDirectory(async (directory) => {
    const file = join(directory, 'rules.yaml');
    assert.equal(await replaceOutputFile(file, 'one'), true);
    const { ino, mode } = statSync(file);
    assert.equal(mode & 0o444, 0o444);
    assert.equal(await replaceOutputFile(file, 'one'), false);
    assert.equal(statSync(file).ino, ino);
    assert.equal(await replaceOutputFile(file, 'two'), true);
    assert.equal(readFileSync(file, 'utf8'), 'two');
    assert.deepEqual(readdirSync(directory), ['rules.yaml']);
  }));

test('a link stays one, and nothing is written through one that someone put where the new file goes', () =>
  inDirectory(async (directory) => {
    const [file, link, other] = ['rules.yaml', 'link.yaml', 'other'].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ];
    writeFileSync(file, 'one');
    writeFileSync(other, 'untouched');
    symlinkSync(file, link);
    symlinkSync(other, `${file}.new`);
    assert.equal(await replaceOutputFile(link, 'two'), true);
    assert.equal(readlinkSync(link), file);
    assert.equal(readFileSync(file, 'utf8'), 'two');
    assert.equal(readFileSync(other, 'utf8'), 'untouched');
  }));

test('a directory that is not there is an error, and none is made', () =>
  inDirectory(async (directory) => {
    await assert.rejects(replaceOutputFile(join(directory, 'none', 'r.yaml'), 'x'), /ENOENT/);
    assert.deepEqual(readdirSync(directory), []);
  }));
