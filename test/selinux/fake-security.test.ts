/** What the stand-in of the tests answers is what the real one does. */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { FileLabels } from '../../src/host/selinux/file-labels.js';
import type { FileLabelReader, ImageRelabeler } from '../../src/host/selinux/ports.js';
import { APPARMOR, FakeFileLabels, FakeSecurity } from '../fakes/fake-security.js';
import { IMAGE, LabelledFiles, whyNoLabels } from './labelled-files.js';

const files = new LabelledFiles();
after(() => files.close());

const SECRET = 'system_u:object_r:shadow_t:s0';

function inMemory(): FakeFileLabels {
  const fake = new FakeFileLabels();
  fake.set(files.path('a'), IMAGE);
  fake.set(files.path('bare'), null);
  fake.set(files.path('secret'), SECRET);
  return fake;
}

function onDisk(): FileLabels {
  files.file('a', IMAGE);
  files.file('bare', null);
  files.file('secret', SECRET);
  return new FileLabels();
}

const REAL = { name: 'the real one', make: onDisk, skip: whyNoLabels() };
const FAKE = { name: 'the stand-in', make: inMemory, skip: false as const };

for (const { name, make, skip } of [REAL, FAKE]) {
  describe(`labels of files: ${name}`, { skip }, () => {
    it('are read and set alike', async () => {
      const labels: FileLabelReader & ImageRelabeler = make();
      const [a, bare, secret, gone] = ['a', 'bare', 'secret', 'gone'].map((file) => files.path(file));
      const code = async (path = '', label = `${IMAGE}:c1,c2`, expected = ''): Promise<string> => {
        const request = { path, label, allowedTypes: ['svirt_image_t'], ...(expected === '' ? {} : { expected }) };
        const outcome = await labels.relabel(request);
        return outcome.ok ? `${outcome.from} → ${outcome.to}` : outcome.code;
      };
      assert.equal(await code(a, `${IMAGE}:c1,c2`, `${IMAGE}:c9`), 'refused');
      assert.equal(await code(a), `${IMAGE} → ${IMAGE}:c1,c2`);
      assert.equal(await code(a, SECRET), 'refused');
      assert.equal(await code(bare), 'refused');
      assert.equal(await code(secret), 'refused');
      assert.equal(await code(gone), 'missing');
      assert.deepEqual(await labels.read([gone ?? '', a ?? '', bare ?? '']), [
        { path: gone, label: null, problem: 'missing' },
        { path: a, label: `${IMAGE}:c1,c2`, problem: null },
        { path: bare, label: null, problem: null },
      ]);
      assert.deepEqual(labels.status(), { abandoned: 0, hung: [] });
      await labels.close();
    });
  });
}

describe('FakeSecurity', () => {
  it('is set per process and path, and fails and waits when told to', async () => {
    const host = new FakeSecurity();
    assert.equal(host.security.read().enforcing, true);
    host.setStatus({ enforcing: false });
    assert.equal(host.security.read().enforcing, false);
    assert.equal(new FakeSecurity(APPARMOR).security.read().model, 'apparmor');
    host.setProcessLabel(7, 'a:b:c_t:s0');
    assert.deepEqual([host.processLabel(7), host.processLabel(8)], ['a:b:c_t:s0', null]);
    host.files.setProblem('/nfs/a', 'timeout');
    assert.deepEqual(host.files.status().hung, ['/nfs/a']);
    host.files.set('/a', 'a:b:c_t:s0');
    host.files.failRelabel('/a', 'denied');
    const request = { path: '/a', label: 'a:b:c_t:s0:c1', allowedTypes: ['c_t'] };
    assert.deepEqual(await host.files.relabel(request), { ok: false, code: 'denied', reason: 'scripted: denied' });
    const release = host.files.hold();
    let done = false;
    const outcome = host.files.relabel(request).then((value) => {
      done = true;
      return value;
    });
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(done, false);
    release();
    assert.equal((await outcome).ok, true);
    assert.equal(host.files.labelOf('/a'), 'a:b:c_t:s0:c1');
  });
});
