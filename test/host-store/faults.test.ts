/** The store on a disk that is full, read-only or taken away, and under kill -9: nothing torn, nothing twice, never good by mistake. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { collect, FAULT_FIRST as FIRST, isPart, isWhole, temporaryDirectory } from './store-bench.js';

const CHILD = fileURLToPath(new URL('./faults-child.js', import.meta.url));
const UNSHARE = ['--mount', '--propagation', 'private'];
const mayMount = spawnSync('unshare', [...UNSHARE, 'true']).status === 0;

test('a disk that is full, read-only or gone is said; when it is back, nothing is lost and nothing there twice', {
  skip: mayMount ? false : 'needs a mount namespace of its own',
}, (t) => {
  const directory = temporaryDirectory(t);
  const { status, stderr } = spawnSync('unshare', [...UNSHARE, process.execPath, CHILD, 'disk', directory], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  assert.equal(status, 0, stderr);
});

test('kill -9 at any moment costs the bucket that is being written, at most', async (t) => {
  // In memory, where nothing waits for a disk, more of the time goes into writing.
  const directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'virtslad-store-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const cut = new Set<number>();
  let next = FIRST;
  let damages = 0;
  for (let kills = 0; kills < 12; kills += 1) {
    const child = spawn(process.execPath, [CHILD, 'write', directory, String(next)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    await once(child.stdout, 'data');
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 60));
    child.kill('SIGKILL');
    await once(child, 'close');
    const stored = Number(said.trimEnd().split('\n').at(-1));
    const { collected, store } = await collect(directory);
    assert.equal(store.error, null);
    damages += store.damage.length;
    // It had no time to say that one more is stored; and whatever is left of it stays.
    const last = stored + 1;
    if (!isWhole(collected, last)) cut.add(last);
    for (let bucket = FIRST; bucket <= last; bucket += 1) {
      assert.ok((cut.has(bucket) ? isPart : isWhole)(collected, bucket), `bucket ${bucket}`);
    }
    assert.ok([...collected.buckets.keys()].every((name) => Number(name.split(' ').at(-1)) <= last));
    next = last + 1;
  }
  t.diagnostic(`${next - FIRST} buckets, ${cut.size} of them not stored, ${damages} files found cut`);
});
