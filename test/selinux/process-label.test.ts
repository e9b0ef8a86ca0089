import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, describe, it } from 'node:test';
import { readProcessLabel } from '../../src/host/selinux/process-label.js';
import { SecurityTree } from './security-tree.js';

describe('readProcessLabel', () => {
  const tree = new SecurityTree();
  after(() => tree.close());
  const { procRoot } = tree.options;
  let nextPid = 100;
  const read = (text: string | Uint8Array): string | null => {
    const pid = nextPid++;
    tree.write(`proc/${pid}/attr/current`, text);
    return readProcessLabel(procRoot, pid);
  };

  it('gives the text of the kernel without what ends it', () => {
    assert.equal(read('system_u:system_r:svirt_t:s0:c1,c2\0'), 'system_u:system_r:svirt_t:s0:c1,c2');
    assert.equal(read('libvirt-8b0e (enforce)\n'), 'libvirt-8b0e (enforce)');
    assert.equal(read('unconfined'), 'unconfined');
    assert.equal(read('a\0b\0'), 'a\0b', 'what lies between is data');
    assert.equal(read(Uint8Array.of(0x61, 0xff, 0)), 'a\u00ff');
  });

  it('never takes one label for another', () => {
    read(`long-${'x'.repeat(200)}\0`);
    assert.equal(read('short\0'), 'short');
    assert.equal(read(''), null);
    assert.equal(read('\0'), null);
    assert.equal(read('x'.repeat(10_000))?.length, 4096);
  });

  it('is null for a process that has gone or cannot be asked', () => {
    assert.equal(readProcessLabel(procRoot, 99), null);
    tree.write('proc/98/attr/current/x', '');
    assert.equal(readProcessLabel(procRoot, 98), null);
    // No such pid: PID_MAX_LIMIT is 2^22.
    assert.equal(readProcessLabel('/proc', 2 ** 22 + 1), null);
    const own = readProcessLabel('/proc', process.pid);
    assert.ok(own === null || own.length > 0);
  });

  it('keeps no descriptor', () => {
    const before = readdirSync('/proc/self/fd').length;
    for (let i = 0; i < 100; i++) {
      readProcessLabel('/proc', process.pid);
      readProcessLabel(procRoot, 98);
      readProcessLabel(procRoot, 100);
    }
    assert.equal(readdirSync('/proc/self/fd').length, before);
  });
});
