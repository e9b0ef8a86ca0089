/** Guests without libvirt end and come back: what stood in a group before ours outlives the process, and nothing else does. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { EmulatedBench } from './emulated-bench.js';

describe('a QEMU without libvirt in a group that outlives it', () => {
  let at: EmulatedBench;
  beforeEach(() => {
    at = new EmulatedBench('v2-no-systemd', { withoutLibvirt: true });
    at.setClass('cpu: { limit: 50% }');
  });
  afterEach(() => at.remove());

  const quota = () => at.kernel.peek(join(at.tree.cgroup, 'vm/web/cpu.max'));
  const end = (pid: number): void => {
    at.endProcess(pid);
    at.kernel.group(join(at.tree.cgroup, 'vm/web')).processes.delete(pid);
  };

  test('what stood there first is put back, however often it was started anew', async () => {
    const first = at.addBare({ name: 'web' });
    const core = await at.boot();
    await at.settle();
    assert.equal(quota(), '50000 100000');
    end(first);
    await at.cycles(1);
    const second = at.addBare({ name: 'web' });
    await at.cycles(2);
    end(second);
    // And once while no daemon runs.
    await at.kill();
    at.addBare({ name: 'web' });
    at.setClass('cpu: { limit: 30% }');
    const again = await at.boot();
    await at.cycles(2);
    assert.equal(quota(), '30000 100000');
    await again.operator.release({ all: true });
    await at.settle();
    assert.equal(quota(), 'max 100000');
    assert.notEqual(core, again);
  });

  test('records of processes that were never seen again do not pile up', async () => {
    await at.boot();
    for (let start = 0; start < 5; start++) {
      const pid = at.addBare({ name: 'web', group: `vm/web-${start}` });
      await at.cycles(2);
      at.endProcess(pid);
      at.removeBareGroup(`vm/web-${start}`);
      await at.cycles(2);
    }
    assert.equal(at.core.parts.journal.uuids().size, 0);
  });
});
