import assert from 'node:assert/strict';
import { symlinkSync } from 'node:fs';
import { after, describe, it } from 'node:test';
import { FileLabels } from '../../src/host/selinux/file-labels.js';
import type { LabelCall, LabelReply, LabelThread } from '../../src/host/selinux/label-thread.js';
import { IMAGE, LabelledFiles, whyNoLabels } from './labelled-files.js';

describe('FileLabels', () => {
  const files = new LabelledFiles();
  after(() => files.close());

  it('reads labels, through symbolic links', { skip: whyNoLabels() }, async () => {
    const labels = new FileLabels();
    const a = files.file('a', `${IMAGE}:c1,c2`);
    const none = files.file('none', null);
    symlinkSync(a, files.path('link'));
    symlinkSync('loop', files.path('loop'));
    const paths = [
      a,
      none,
      files.path('link'),
      files.path('gone'),
      `${a}/below`,
      files.path('loop'),
      'a',
      `${a}\0b`,
      a,
    ];
    assert.deepEqual(
      (await labels.read(paths)).map(({ path, label, problem }) => [path, label, problem]),
      [
        [a, `${IMAGE}:c1,c2`, null],
        [none, null, null],
        [files.path('link'), `${IMAGE}:c1,c2`, null],
        [files.path('gone'), null, 'missing'],
        [`${a}/below`, null, 'missing'],
        [files.path('loop'), null, 'unreadable'],
        ['a', null, 'unreadable'],
        [`${a}\0b`, null, 'unreadable'],
        [a, `${IMAGE}:c1,c2`, null],
      ],
    );
    assert.deepEqual(await labels.read([]), []);
    assert.deepEqual(labels.status(), { abandoned: 0, hung: [] });
    await labels.close();
    assert.deepEqual(await labels.read([a]), [{ path: a, label: null, problem: 'timeout' }], 'closed');
    await labels.close();
  });

  it('tells file systems that keep no labels', async () => {
    const labels = new FileLabels();
    const [file] = await labels.read(['/proc/self/stat']);
    assert.equal(file?.label, null);
    assert.ok(file?.problem === 'unsupported' || file?.problem === null);
    await labels.close();
  });

  it('asks a batch in one message, on one thread, one batch at a time', async () => {
    const thread = new ScriptedThread();
    let started = 0;
    const labels = new FileLabels({
      startThread: () => {
        started++;
        return thread;
      },
    });
    const many = Array.from({ length: 3000 }, (_, i) => `/images/${i}`);
    const first = labels.read(many);
    const second = labels.read(['/images/0', '/images/0']);
    await turn();
    assert.deepEqual(thread.calls, [{ op: 'labels', paths: many }]);
    thread.answer(many.map((path) => path));
    assert.equal((await first)[2999]?.label, '/images/2999');
    await turn();
    assert.deepEqual(thread.calls[1], { op: 'labels', paths: ['/images/0'] });
    thread.answer(['x']);
    assert.deepEqual(
      (await second).map(({ label }) => label),
      ['x', 'x'],
    );
    assert.equal(started, 1);
    await labels.close();
    assert.equal(thread.stopped, true);
  });

  it('answers `unreadable` when its thread dies, and starts another', async () => {
    const threads: ScriptedThread[] = [];
    const labels = new FileLabels({
      startThread: () => {
        const thread = new ScriptedThread();
        threads.push(thread);
        return thread;
      },
    });
    const reading = labels.read(['/a']);
    await turn();
    threads[0]?.end('out of memory');
    assert.deepEqual(await reading, [{ path: '/a', label: null, problem: 'unreadable' }]);
    const relabelling = labels.relabel({ path: '/a', label: 'a:b:c_t:s0', allowedTypes: ['c_t'] });
    await turn();
    threads[1]?.end('out of memory');
    const reason = 'the thread ended: out of memory';
    assert.deepEqual(await relabelling, { ok: false, code: 'failed', reason });
    const idle = labels.read(['/a']);
    await turn();
    threads[2]?.answer(['x']);
    await idle;
    threads[2]?.end('while nobody asked');
    const after = labels.read(['/a']);
    await turn();
    threads[3]?.answer(['y']);
    assert.equal((await after)[0]?.label, 'y');
    await labels.close();
  });

  it('never rejects, even when no thread can be started', async () => {
    const labels = new FileLabels({
      startThread: () => {
        throw new Error('no more threads');
      },
    });
    assert.deepEqual(await labels.read(['/a']), [{ path: '/a', label: null, problem: 'unreadable' }]);
    await labels.close();
  });

  it('blames no path when the thread does not come to its work, and asks on when it does', async () => {
    const thread = new ScriptedThread();
    const labels = new FileLabels({ deadlineMs: 20, startThread: () => thread });
    const [file] = await labels.read(['/a']);
    assert.equal(file?.problem, 'timeout');
    assert.deepEqual(labels.status(), { abandoned: 1, hung: [] });
    assert.equal(thread.calledOff, true);
    thread.answer([]);
    assert.deepEqual(labels.status(), { abandoned: 0, hung: [] });
    assert.equal(thread.stopped, true);
    await labels.close();
  });
});

/** A thread that answers when it is told to. */
class ScriptedThread implements LabelThread {
  readonly calls: LabelCall[] = [];
  stopped = false;
  calledOff = false;
  #onReply: (reply: LabelReply) => void = () => undefined;
  #onEnd: (reason: string) => void = () => undefined;

  post(call: LabelCall): void {
    this.calls.push(call);
  }

  answer(labels: readonly string[]): void {
    this.#onReply({ op: 'labels', readings: labels.map((label) => ({ label, problem: null })) });
  }

  end(reason: string): void {
    this.#onEnd(reason);
  }

  onReply(listener: (reply: LabelReply) => void): void {
    this.#onReply = listener;
  }

  onEnd(listener: (reason: string) => void): void {
    this.#onEnd = listener;
  }

  begun(): number {
    return 0;
  }

  callOff(): void {
    this.calledOff = true;
  }

  async stop(): Promise<void> {
    this.stopped = true;
  }

  unref(): void {}
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
