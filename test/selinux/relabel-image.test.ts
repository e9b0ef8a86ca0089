import assert from 'node:assert/strict';
import { linkSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { after, afterEach, describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { FileLabels } from '../../src/host/selinux/file-labels.js';
import { type RelabelOutcome, type RelabelRequest, relabelImage } from '../../src/host/selinux/relabel-image.js';
import { IMAGE, LabelledFiles, whyNoLabels } from './labelled-files.js';

const WANTED = `${IMAGE}:c7,c9`;
const SECRET = 'system_u:object_r:shadow_t:s0';
const ALLOWED = ['svirt_image_t', 'virt_image_t'];

describe('relabelImage', { skip: whyNoLabels() }, () => {
  const files = new LabelledFiles();
  after(() => files.close());
  afterEach(() => {
    for (const name of readdirSync(files.root)) rmSync(files.path(name), { recursive: true });
  });
  const relabel = (path: string, changes: Partial<RelabelRequest> = {}, atLast: () => boolean = () => false) =>
    relabelImage({ path, label: WANTED, allowedTypes: ALLOWED, ...changes }, atLast);
  const refusal = (outcome: RelabelOutcome): string => (outcome.ok ? 'done' : `${outcome.code}: ${outcome.reason}`);

  it('sets the label, and tells both', () => {
    const from = 'system_u:object_r:virt_image_t:s0';
    const path = files.file('a', from);
    assert.deepEqual(relabel(path), { ok: true, from, to: WANTED });
    assert.equal(files.label('a'), WANTED);
    assert.deepEqual(relabel(path), { ok: true, from: WANTED, to: WANTED }, 'again: nothing to do');
    assert.deepEqual(relabel(path, { label: IMAGE, expected: WANTED }), { ok: true, from: WANTED, to: IMAGE });
  });

  it('refuses types that are not allowed, worn or wanted', () => {
    const secret = files.file('secret', SECRET);
    assert.equal(refusal(relabel(secret)), `refused: it wears ${SECRET}`);
    assert.equal(files.label('secret'), SECRET);
    const path = files.file('a', IMAGE);
    assert.equal(refusal(relabel(path, { label: SECRET })), 'refused: shadow_t is not a type that may be given');
    for (const label of [
      '',
      'svirt_image_t',
      'a:b:svirt_image_t:s0\0',
      'a:b:svirt_image_t:s0 c1',
      'a:b:svirt_image_t\n',
    ]) {
      assert.equal(refusal(relabel(path, { label })), 'refused: what is wanted is no label', JSON.stringify(label));
    }
    assert.equal(files.label('a'), IMAGE);
    assert.equal(refusal(relabel(files.file('bare', null))), 'refused: it wears no label');
    assert.equal(refusal(relabel(files.file('odd', 'x:y\u001b[2J'))), 'refused: it wears x:y\\u001b[2J');
  });

  it('refuses what is by now another label than the caller saw', () => {
    const path = files.file('a', `${IMAGE}:c1,c2`);
    assert.equal(refusal(relabel(path, { expected: IMAGE })), `refused: it wears ${IMAGE}:c1,c2 by now`);
    assert.equal(files.label('a'), `${IMAGE}:c1,c2`);
  });

  it('refuses links, directories and files with two names', () => {
    const path = files.file('a', IMAGE);
    symlinkSync(path, files.path('link'));
    assert.equal(refusal(relabel(files.path('link'))), 'refused: it is a symbolic link');
    mkdirSync(files.path('directory'));
    const neither = 'refused: it is neither a regular file nor a block device';
    assert.equal(refusal(relabel(files.path('directory'))), neither);
    assert.equal(refusal(relabel('/dev/null')), neither);
    linkSync(path, files.path('other'));
    assert.equal(refusal(relabel(path)), 'refused: it has 2 names');
    assert.equal(files.label('a'), IMAGE);
  });

  it('tells what is not there, what is no path, and where labels are not kept', () => {
    assert.equal(refusal(relabel(files.path('none'))), 'missing: there is no such file');
    assert.equal(refusal(relabel('a.img')), 'refused: it is not an absolute path');
    assert.equal(refusal(relabel(`${files.file('a', IMAGE)}\0.img`)), 'refused: it is not an absolute path');
    const proc = relabel('/proc/version');
    assert.equal(proc.ok, false);
  });

  it('sets nothing once it is called off', () => {
    const path = files.file('a', IMAGE);
    assert.match(refusal(relabel(path, {}, () => true)), /^timeout/);
    assert.equal(files.label('a'), IMAGE);
  });

  it('labels the file that it has checked, whatever the path names by then', () => {
    for (const replace of ['link', 'file'] as const) {
      // Even of a type that would be allowed.
      const other = files.file('other', `${IMAGE}:c1,c2`);
      const path = files.file('a', IMAGE);
      const outcome = relabel(path, {}, () => {
        renameSync(path, files.path('moved'));
        if (replace === 'link') symlinkSync(other, path);
        else renameSync(other, path);
        return false;
      });
      assert.deepEqual(outcome, { ok: true, from: IMAGE, to: WANTED });
      assert.equal(files.label('moved'), WANTED);
      assert.equal(files.label(replace === 'link' ? 'other' : 'a'), `${IMAGE}:c1,c2`);
      for (const name of readdirSync(files.root)) rmSync(files.path(name));
    }
  });

  it('never labels a forbidden file that is swapped in and out under its path', async () => {
    files.file('image', IMAGE);
    files.file('forbidden', SECRET);
    symlinkSync('forbidden', files.path('link'));
    const path = files.path('a');
    // Turn by turn the image, a link to the forbidden file, and the forbidden file itself.
    const swapper = new Worker(
      `const { renameSync } = require('node:fs');
      const { parentPort, workerData: root } = require('node:worker_threads');
      let going = true;
      parentPort.on('message', () => { going = false; });
      const turn = () => {
        for (let i = 0; i < 50; i++) for (const name of ['image', 'link', 'forbidden']) {
          renameSync(root + '/' + name, root + '/a');
          renameSync(root + '/a', root + '/' + name);
        }
        if (going) setImmediate(turn); else parentPort.close();
      };
      turn();`,
      { eval: true, workerData: files.root },
    );
    const ended = new Promise((resolve) => swapper.once('exit', resolve));
    await new Promise((resolve) => swapper.once('online', resolve));
    const outcomes = new Map<string, number>();
    const untilMs = performance.now() + 1500;
    while (performance.now() < untilMs) {
      for (let i = 0; i < 100; i++) {
        const label = i % 2 === 0 ? WANTED : `${IMAGE}:c1,c2`;
        const outcome = relabel(path, { label });
        const kind = outcome.ok ? 'done' : outcome.code;
        outcomes.set(kind, (outcomes.get(kind) ?? 0) + 1);
        if (outcome.ok) assert.match(outcome.from, /svirt_image_t/);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    swapper.postMessage('stop');
    await ended;
    assert.equal(files.label('forbidden'), SECRET);
    assert.match(files.label('image') ?? '', /^system_u:object_r:svirt_image_t:s0:c/);
    for (const kind of ['done', 'refused', 'missing']) {
      assert.ok((outcomes.get(kind) ?? 0) > 0, `${kind} never came: ${JSON.stringify([...outcomes])}`);
    }
  });

  it('keeps no descriptor', () => {
    const path = files.file('a', IMAGE);
    const before = readdirSync('/proc/self/fd').length;
    for (let i = 0; i < 50; i++) {
      relabel(path, { label: i % 2 === 0 ? WANTED : IMAGE });
      relabel(files.root);
    }
    assert.equal(readdirSync('/proc/self/fd').length, before);
  });

  it('works through the thread', async () => {
    const labels = new FileLabels();
    const path = files.file('a', IMAGE);
    assert.deepEqual(await labels.relabel({ path, label: WANTED, allowedTypes: ALLOWED }), {
      ok: true,
      from: IMAGE,
      to: WANTED,
    });
    assert.deepEqual(await labels.read([path]), [{ path, label: WANTED, problem: null }]);
    await labels.close();
  });
});
