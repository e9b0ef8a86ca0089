/** Denials read from lines as kernel, auditd and dbus-daemon write them, and what is made of them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { describeDenials, isOfGuest, isOfVirtslad, parseDenial, parseDenials, unexpectedDenials } from './denials.js';
import { KNOWN_DENIALS } from './known-denials.js';

const AVC =
  'type=AVC msg=audit(1795454135.944:19): avc:  denied  { read write } for  pid=216 comm="qemu-system-x86" name="b.img" ' +
  'dev="vda" ino=263554 scontext=system_u:system_r:svirt_t:s0:c1,c2 tcontext=system_u:object_r:svirt_image_t:s0:c3,c4 ' +
  'tclass=file permissive=0';
const KERNEL = `[   14.233736] audit: type=1400 ${AVC.slice('type=AVC msg='.length)}`;
const USER_AVC =
  "type=USER_AVC msg=audit(1795454140.848:42): pid=268 uid=100 auid=4294967295 ses=4294967295 subj=system_u:system_r:system_dbusd_t:s0 msg='" +
  'avc:  denied  { send_msg } for msgtype=method_return dest=:1.4 spid=273 tpid=278 scontext=system_u:system_r:systemd_logind_t:s0 ' +
  'tcontext=system_u:system_r:virtd_t:s0 tclass=dbus permissive=0  exe="/usr/bin/dbus-daemon" sauid=100\'';
const REFUSED =
  'type=SELINUX_ERR msg=audit(1795454188.768:76): op=security_bounded_transition seresult=denied ' +
  'oldcontext=system_u:system_r:virtslad_t:s0 newcontext=system_u:system_r:hostname_t:s0';

const like = (line: string, text: string, instead: string) => parseDenials(line.replace(text, instead));

describe('reading', () => {
  test('an AVC of the audit log', () => {
    assert.deepEqual(parseDenial(AVC), {
      event: 'audit(1795454135.944:19)',
      permissions: ['read', 'write'],
      source: 'svirt_t',
      target: 'svirt_image_t',
      tclass: 'file',
      comm: 'qemu-system-x86',
      name: 'b.img',
      permissive: false,
      line: AVC,
    });
  });
  test('the same in the kernel log is the same denial', () => {
    assert.deepEqual([parseDenials(KERNEL).length, parseDenials(`${AVC}\n${KERNEL}\n`).length], [1, 1]);
  });
  test("dbus-daemon's own, and a transition that was refused", () => {
    const user = parseDenial(USER_AVC);
    assert.deepEqual([user?.source, user?.target, user?.tclass], ['systemd_logind_t', 'virtd_t', 'dbus']);
    const refused = parseDenial(REFUSED);
    assert.deepEqual(
      [refused?.source, refused?.target, refused?.permissions],
      ['virtslad_t', 'hostname_t', ['security_bounded_transition']],
    );
  });
  test('nothing else is one', () => {
    const others = [
      '',
      'type=SYSCALL msg=audit(1.2:3): syscall=59',
      AVC.replace('denied', 'granted'),
      'avc:  denied  { read }',
    ];
    assert.deepEqual(others.map(parseDenial), [null, null, null, null]);
  });
});

describe('judging', () => {
  test("what virtslad and guests are denied is nobody's known flaw", () => {
    const everything = [{ source: /./, reason: 'anything' }];
    for (const name of ['svirt_t', 'svirt_tcg_t', 'virtslad_t', 'virtslad_launch_t']) {
      const denials = like(AVC, ':svirt_t:', `:${name}:`);
      assert.equal(unexpectedDenials(denials, [], everything).length, 1, name);
    }
    for (const name of ['virtd_t', 'svirt_image_t2', 'my_virtslad_t']) {
      const [denial] = like(AVC, ':svirt_t:', `:${name}:`);
      assert.ok(denial !== undefined && !isOfGuest(denial) && !isOfVirtslad(denial), name);
    }
  });
  test('an announcement lets pass what it names and no more', () => {
    const denials = parseDenials(AVC);
    const reason = 'the test tries it';
    const passes = [
      { source: 'svirt_t', reason },
      { source: 'svirt_t', target: 'svirt_image_t', tclass: 'file', permissions: ['write', 'read', 'open'], reason },
    ];
    for (const pattern of passes) assert.deepEqual(unexpectedDenials(denials, [pattern], []), []);
    const fails = [
      { source: 'svirt', reason },
      { source: 'svirt_t', target: 'etc_t', reason },
      { source: 'svirt_t', tclass: 'dir', reason },
      { source: 'svirt_t', permissions: ['read'], reason },
      { source: 'svirt_t', comm: 'cat', reason },
    ];
    for (const pattern of fails) assert.deepEqual(unexpectedDenials(denials, [pattern], []), denials);
  });
  test("Debian's own are known; of the same source another is not", () => {
    assert.deepEqual(unexpectedDenials(like(USER_AVC, ':systemd_logind_t:', ':virtd_t:'), [], KNOWN_DENIALS), []);
    assert.equal(unexpectedDenials(parseDenials(USER_AVC), [], KNOWN_DENIALS).length, 1);
    assert.equal(unexpectedDenials(like(AVC, ':svirt_t:', ':getty_t:'), [], KNOWN_DENIALS).length, 1);
  });
  test('QEMU may stumble where it always does, and nowhere else', () => {
    const probe = AVC.replace('read write', 'read').replace('svirt_image_t', 'sysfs_t').replace('b.img', 'meminfo');
    assert.deepEqual(unexpectedDenials(parseDenials(probe), [], KNOWN_DENIALS), []);
    for (const [text, instead] of [
      ['meminfo', 'uevent'],
      ['{ read }', '{ write }'],
      [':svirt_t:', ':virtslad_t:'],
      ['comm="qemu-system-x86"', 'comm="sh"'],
    ] as const) {
      assert.equal(unexpectedDenials(like(probe, text, instead), [], KNOWN_DENIALS).length, 1, instead);
    }
  });
  test('like ones are told once, with their number', () => {
    const text = describeDenials(parseDenials(`${AVC}\n${AVC.replace(':19)', ':20)')}`));
    assert.match(text, /^2 × svirt_t svirt_image_t:file \{ read write \} comm=qemu-system-x86\n {2}type=AVC/);
    assert.equal(text.split('\n').length, 2);
  });
});
