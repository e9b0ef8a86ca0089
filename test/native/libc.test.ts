import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { VirtsladError } from '../../src/errors.js';
import { loadLibrary, requireLibrary } from '../../src/host/ffi.js';
import { flockExclusive } from '../../src/host/libc.js';

const LIBC_URL = import.meta.resolve('../../src/host/libc.js');
const FFI_URL = import.meta.resolve('../../src/host/ffi.js');

describe('libraries', () => {
  it('are absent as data, or as an error that says what to install', () => {
    const loaded = loadLibrary('libnothing-of-the-kind.so.9');
    assert.equal(loaded.ok, false);
    assert.match(loaded.ok ? '' : loaded.reason, /libnothing-of-the-kind\.so\.9 cannot be loaded/);
    assert.throws(
      () => requireLibrary('libnothing-of-the-kind.so.9'),
      (error) => error instanceof VirtsladError && error.code === 'NATIVE_LIBRARY_MISSING',
    );
  });
});

describe('flockExclusive', () => {
  const dir = mkdtempSync(join(tmpdir(), 'flock-'));
  const path = join(dir, 'lock');
  after(() => rmSync(dir, { recursive: true }));

  it('lets one open file have the lock, until it is closed', () => {
    const first = openSync(path, 'w');
    const second = openSync(path, 'w');
    assert.equal(flockExclusive(first), true);
    assert.equal(flockExclusive(second), false);
    assert.equal(flockExclusive(first), true, 'what one has, one may take again');
    closeSync(first);
    assert.equal(flockExclusive(second), true);
    closeSync(second);
  });

  it('holds against another process, and ends with it', () => {
    const fd = openSync(path, 'w');
    const take = `import { openSync } from 'node:fs';
      import { flockExclusive } from ${JSON.stringify(LIBC_URL)};
      console.log(flockExclusive(openSync(${JSON.stringify(path)}, 'w')));
      process.kill(process.pid, 'SIGKILL');`;
    assert.equal(flockExclusive(fd), true);
    assert.equal(runScript(take).stdout.trim(), 'false');
    closeSync(fd);
    assert.equal(runScript(take).stdout.trim(), 'true');
    const again = openSync(path, 'w');
    assert.equal(flockExclusive(again), true, 'SIGKILL leaves no lock behind');
    closeSync(again);
  });

  it('fails loudly on what is no open file', () => {
    assert.throws(
      () => flockExclusive(-1),
      (error) => error instanceof VirtsladError && error.code === 'LOCK_FAILED',
    );
  });
});

describe('exitNow', () => {
  // A worker thread inside a native call of 30 s, as one that waits for a guest.
  const stuck = (end: string) => `
    import { Worker } from 'node:worker_threads';
    import { exitNow } from ${JSON.stringify(LIBC_URL)};
    process.on('exit', () => console.log('exit handler'));
    const worker = new Worker(\`
      import { loadLibrary } from ${JSON.stringify(FFI_URL)};
      import { parentPort } from 'node:worker_threads';
      const { library } = loadLibrary('libc.so.6');
      parentPort.postMessage('in');
      library.bind('sleep', 'uint', ['uint'])(30);\`, { eval: true });
    worker.once('message', () => setTimeout(() => ${end}, 100));`;

  it('ends a process at once that a stuck thread would keep', () => {
    const beganMs = performance.now();
    const child = runScript(stuck('exitNow(7)'));
    assert.equal(child.status, 7, child.stderr);
    assert.equal(child.stdout, '');
    assert.ok(performance.now() - beganMs < 5000);
  });

  it('is needed: process.exit waits for the thread', () => {
    const child = runScript(stuck('process.exit(7)'), 2500);
    assert.notEqual(child.status, 7);
  });
});

function runScript(script: string, timeoutMs = 20_000) {
  const args = ['--input-type=module', '--eval', script];
  return spawnSync(process.execPath, args, { encoding: 'utf8', timeout: timeoutMs, killSignal: 'SIGKILL' });
}
