/** Lines of a console: which of them say that the kernel is not well. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kernelSurprises } from './kernel-log.js';

test('an unwell kernel is heard', () => {
  const lines = [
    '[   12.345678] Oops: 0000 [#1] PREEMPT SMP NOPTI',
    '[   12.345678] BUG: kernel NULL pointer dereference, address: 0000000000000008',
    '[   12.345678] kernel BUG at mm/slub.c:4000!',
    '[  112.345678] WARNING: CPU: 1 PID: 77 at block/blk-iocost.c:1000 ioc_now+0x1/0x2',
    '[   12.345678] WARNING: possible circular locking dependency detected',
    '[ 1212.345678] INFO: task jbd2/vda-8:80 blocked for more than 120 seconds.',
    '[   12.345678] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [node:300]',
    '[   12.345678] rcu: INFO: rcu_preempt self-detected stall on CPU',
    '[   12.345678] Kernel panic - not syncing: VFS: Unable to mount root fs',
    '[   12.345678] EXT4-fs error (device vda): ext4_lookup:1000: inode #2',
    '[   12.345678] I/O error, dev vdb, sector 0 op 0x0:(READ)',
  ];
  assert.deepEqual(kernelSurprises(lines.join('\r\n')), lines);
});

test('what a sound one says, and what others say, is not taken for it', () => {
  const lines = [
    '[    0.000000] Linux version 6.1.0-56-amd64',
    '[    0.100000] Spectre V2 : WARNING: Unprivileged eBPF is enabled',
    '[    1.000000] DEBUG: nothing',
    'login: BUG: typed by somebody',
    '[  OK  ] Started virtslad.service. Oops',
    '[   14.233736] audit: type=1400 audit(1.2:3): avc:  denied  { read } for pid=1',
  ];
  assert.deepEqual(kernelSurprises(lines.join('\n')), []);
});
