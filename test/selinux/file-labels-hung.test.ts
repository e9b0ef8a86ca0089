/** Files on file systems that really do not answer: FUSE mounts that nobody serves. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, describe, it } from 'node:test';
import { FileLabels, type FileLabelsOptions } from '../../src/host/selinux/file-labels.js';
import { enterPrivateMounts, mountSilently, type SilentMount } from '../support/silent-fuse.js';
import { waitUntil } from '../support/wait.js';

const DEADLINE_MS = 300;
const skip = enterPrivateMounts() ?? false;

describe('files that do not answer', { skip }, () => {
  const root = mkdtempSync(join(tmpdir(), 'virtslad-hung-'));
  const mounts: SilentMount[] = [];
  const open: FileLabels[] = [];
  const healthy = Array.from({ length: 20 }, (_, i) => join(root, `healthy-${i}`));
  for (const path of healthy) writeFileSync(path, '');

  const newLabels = (options: FileLabelsOptions = {}): FileLabels => {
    const labels = new FileLabels({ deadlineMs: DEADLINE_MS, ...options });
    open.push(labels);
    return labels;
  };
  const silent = (name: string): SilentMount => {
    const mount = mountSilently(join(root, name));
    mounts.push(mount);
    return mount;
  };
  const problems = async (labels: FileLabels, paths: readonly string[]): Promise<readonly (string | null)[]> =>
    (await labels.read(paths)).map(({ problem }) => problem);

  afterEach(async () => {
    for (const mount of mounts.splice(0)) mount.drop();
    await Promise.all(open.splice(0).map((labels) => labels.close()));
  });
  after(() => rmSync(root, { recursive: true, force: true }));

  it('are answered `timeout`, and the others are read', async () => {
    const labels = newLabels();
    const dead = join(silent('one').directory, 'a.img');
    await labels.read(healthy.slice(0, 1));
    const startedMs = performance.now();
    const got = await problems(labels, [...healthy.slice(0, 10), dead, ...healthy.slice(10)]);
    assert.deepEqual(got, [...healthy.slice(0, 10).map(() => null), 'timeout', ...healthy.slice(10).map(() => null)]);
    assert.ok(performance.now() - startedMs >= DEADLINE_MS);
    assert.deepEqual(labels.status(), { abandoned: 1, hung: [dead] });
  });

  it('are not asked again until they come back', async () => {
    const labels = newLabels();
    const mount = silent('two');
    const dead = join(mount.directory, 'a.img');
    await labels.read([dead]);
    assert.deepEqual(await problems(labels, [dead, ...healthy]), ['timeout', ...healthy.map(() => null)]);
    assert.equal(labels.status().abandoned, 1, 'it cost no second thread');
    mount.abort();
    await waitUntil('the call to come back', () => labels.status().abandoned === 0, { seconds: 10 });
    assert.deepEqual(await problems(labels, [dead]), ['unreadable'], 'asked, and answered: the connection is gone');
    mount.drop();
    assert.deepEqual(await problems(labels, [dead]), ['missing']);
  });

  it('are asked again after a minute', async () => {
    let nowMs = 0;
    const labels = newLabels({ now: () => nowMs });
    const dead = join(silent('three').directory, 'a.img');
    await labels.read([dead]);
    nowMs = 59_999;
    await labels.read([dead]);
    assert.equal(labels.status().abandoned, 1);
    nowMs = 60_000;
    assert.deepEqual(await problems(labels, [dead]), ['timeout']);
    assert.deepEqual(labels.status(), { abandoned: 2, hung: [dead] });
  });

  it('of one dead mount cost two threads, whatever their number', async () => {
    const labels = newLabels();
    const { directory } = silent('four');
    const dead = Array.from({ length: 300 }, (_, i) => join(directory, `${i}.img`));
    const got = await problems(labels, [...dead, ...healthy]);
    assert.ok(got.slice(0, 300).every((problem) => problem === 'timeout'));
    assert.ok(got.slice(300).every((problem) => problem === null));
    assert.deepEqual(labels.status(), { abandoned: 2, hung: dead.slice(0, 2) });
  });

  it('of many dead mounts never cost more threads than may be given up and one', async () => {
    const labels = newLabels({ maxAbandoned: 3 });
    const dead = ['five', 'six', 'seven'].map((name) => join(silent(name).directory, 'a.img'));
    const got = await problems(labels, [...dead, ...healthy]);
    assert.deepEqual(got, [...dead.map(() => 'timeout'), ...healthy.map(() => null)]);
    const last = silent('eight');
    const more = [join(last.directory, 'a.img'), join(root, 'five', 'b.img'), ...healthy];
    assert.ok(
      (await problems(labels, more)).every((problem) => problem === 'timeout'),
      'no thread is left',
    );
    assert.equal(labels.status().abandoned, 4);
    assert.deepEqual(await labels.relabel({ path: healthy[0] ?? '', label: 'a:b:c_t:s0', allowedTypes: ['c_t'] }), {
      ok: false,
      code: 'timeout',
      reason: 'its file system has not answered in time',
    });
    last.drop();
    await waitUntil('a thread to come back', () => labels.status().abandoned === 3, { seconds: 10 });
    assert.ok((await problems(labels, healthy)).every((problem) => problem === null));
  });

  it('behind a symbolic link put aside their directory, not the file system of the link', async () => {
    const labels = newLabels();
    symlinkSync(silent('nine').directory, join(root, 'link'));
    const dead = Array.from({ length: 5 }, (_, i) => join(root, 'link', `${i}.img`));
    assert.deepEqual(await problems(labels, [...dead, ...healthy]), [
      ...dead.map(() => 'timeout'),
      ...healthy.map(() => null),
    ]);
    assert.equal(labels.status().abandoned, 2);
  });

  it('are not relabelled when they answer late', async () => {
    const labels = newLabels();
    const request = { path: join(silent('ten').directory, 'a.img'), label: 'a:b:c_t:s0', allowedTypes: ['c_t'] };
    const outcome = await labels.relabel(request);
    assert.equal(outcome.ok ? '' : outcome.code, 'timeout');
    assert.deepEqual(labels.status(), { abandoned: 1, hung: [request.path] });
    const again = await labels.relabel(request);
    assert.match(again.ok ? '' : again.reason, /^not tried/);
  });

  it('do not keep the reader from being closed', async () => {
    const labels = newLabels({ deadlineMs: 60_000 });
    const dead = join(silent('eleven').directory, 'a.img');
    const reading = labels.read([dead, ...healthy]);
    const queued = labels.read(healthy);
    await new Promise((resolve) => setTimeout(resolve, 500));
    await labels.close();
    assert.ok((await reading).every(({ problem }) => problem === 'timeout'));
    assert.ok((await queued).every(({ problem }) => problem === 'timeout'));
  });
});
