/** What the words of a launch ask for, and which are refused. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readRequest } from '../../src/launch/request.js';

function ask(...words: string[]) {
  const read = readRequest(['qemu-system-x86_64', ...words]);
  assert.ok(read.ok, JSON.stringify(read));
  return read.request;
}
function refusal(...words: string[]): string {
  const read = readRequest(['qemu-system-x86_64', ...words]);
  assert.ok(!read.ok);
  assert.equal(read.problem.code, 'LAUNCH_COMMAND');
  return read.problem.message;
}

describe('a launch', () => {
  test('is of a guest that stays the process it was', () => {
    assert.equal(ask('-name', 'guest=web,debug-threads=on', '-m', '1G').command.name, 'web');
    assert.match(refusal('-version'), /runs no guest/);
    assert.match(refusal('-machine', 'none'), /runs no guest/);
    assert.match(refusal('-device', 'help'), /runs no guest/);
    assert.match(refusal('-daemonize'), /another process/);
    assert.match(refusal('-object', 'secret,id=masterKey0'), /libvirt/);
  });

  test('takes junk for no uuid, and nothing of a name for more than a name', () => {
    for (const uuid of ['../../x', 'x'.repeat(36), '', '00000000-0000-0000-0000-000000000000']) {
      assert.equal(ask('-uuid', uuid).command.uuid, null);
    }
    assert.equal(ask('-name', '../../x,,y').command.name, '../../x,y');
    assert.equal(ask('-name', 'x'.repeat(4096)).command.name?.length, 1024);
  });

  test('with KVM, or without', () => {
    const kvm = [
      ['-enable-kvm'],
      ['-accel', 'kvm'],
      ['-accel', 'kvm,thread=x'],
      ['-machine', 'pc,accel=kvm:tcg'],
      ['-M', 'q35', '-accel', 'accel=kvm'],
    ];
    for (const words of kvm) assert.equal(ask(...words).usesKvm, true, words.join(' '));
    const none = [
      [],
      ['-accel', 'tcg'],
      ['-accel', 'tcg', '-accel', 'kvm'],
      ['-machine', 'accel=tcg:kvm'],
      ['-name', 'kvm'],
    ];
    for (const words of none) assert.equal(ask(...words).usesKvm, false, words.join(' '));
    for (const program of ['/usr/libexec/qemu-kvm', 'kvm']) {
      const read = readRequest([program]);
      assert.ok(read.ok && read.request.usesKvm && !read.request.unrecognised);
    }
    const other = readRequest(['/opt/my-qemu', '-m', '1']);
    assert.ok(other.ok && other.request.unrecognised);
  });

  test('names the descriptors that QEMU is to get', () => {
    const words = [
      ...['-netdev', 'tap,id=n0,fds=5:6,vhostfds=7:8', '-netdev', 'tap,fd=9', '-incoming', 'fd:10'],
      ...['-add-fd', 'set=1,fd=11', '-chardev', 'socket,id=c,fd=12', '-blockdev', '{"driver":"file","fd":"13"}'],
      ...['-name', 'fd-14', '-drive', 'file=/x,fdset=15', '-nic', 'tap,fd=2', '-net', 'tap,fd=99999999'],
    ];
    assert.deepEqual(ask(...words).descriptors, [5, 6, 7, 8, 9, 10, 11, 12, 13]);
  });
});
