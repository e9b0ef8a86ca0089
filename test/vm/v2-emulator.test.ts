/**
 * The emulated cgroup file system of the unit lane against this kernel's cgroup v2: every file that it has, also BFQ's and
 * the io cost controller's. The contract is test/native/cgroup.test.ts; here is only what the kernel needs for all of it.
 */

import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { output } from '../support/command.js';

const SWITCHES = '/sys/fs/cgroup/cgroup.subtree_control';

// Gives every group a file of its own, whatever the schedulers of the disks are.
await output('modprobe', ['bfq']);
writeFileSync(SWITCHES, '+cpu +memory +io +cpuset', { flag: 'r+' });

test('this kernel has all that is compared', () => {
  assert.deepEqual(
    ['cpu', 'cpuset', 'io', 'memory'].filter((name) => !readFileSync(SWITCHES, 'utf8').includes(name)),
    [],
  );
  assert.ok(existsSync('/sys/block/vdb'), 'a second disk');
  assert.ok(existsSync('/sys/fs/cgroup/io.cost.qos'), 'the io cost controller');
});

await import('../native/cgroup.test.js');
