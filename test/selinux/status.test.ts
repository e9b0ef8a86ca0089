import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { SecurityStatusReader } from '../../src/host/selinux/status.js';
import { SecurityTree } from './security-tree.js';

const trees: SecurityTree[] = [];
after(() => {
  for (const tree of trees) tree.close();
});

function newTree(): SecurityTree {
  const tree = new SecurityTree();
  trees.push(tree);
  return tree;
}

const NOTHING = { enforcing: null, mls: false, booleans: {}, guestContext: null, guestTypes: [], imageTypes: [] };

describe('a host with SELinux', () => {
  it('tells its mode, the booleans that matter, and what guests and images wear', () => {
    const tree = newTree().selinux();
    assert.deepEqual(new SecurityStatusReader(tree.options).read(), {
      model: 'selinux',
      enforcing: true,
      mls: true,
      booleans: { virt_use_nfs: false, allow_execmem: true },
      guestContext: 'system_u:system_r:svirt_t:s0',
      guestTypes: ['svirt_t'],
      imageTypes: ['svirt_image_t', 'virt_content_t'],
      reason: null,
    });
  });

  it('knows both guest types where the policy has two, and no level where it has none', () => {
    const tree = newTree()
      .selinux()
      .write('selinuxfs/mls', '0')
      .write('etc/config', 'SELINUX=permissive\nSELINUXTYPE=targeted\n')
      .write(
        'etc/targeted/contexts/virtual_domain_context',
        'system_u:system_r:svirt_t:s0\nsystem_u:system_r:svirt_tcg_t:s0\n\nrubbish\n',
      );
    const status = new SecurityStatusReader(tree.options).read();
    assert.equal(status.mls, false);
    assert.equal(status.guestContext, 'system_u:system_r:svirt_t:s0');
    assert.deepEqual(status.guestTypes, ['svirt_t', 'svirt_tcg_t']);
    assert.deepEqual(status.imageTypes, []);
  });

  it('sees setenforce and setsebool at once, by the sequence number', () => {
    const tree = newTree().selinux();
    const reader = new SecurityStatusReader(tree.options);
    const before = reader.read();
    assert.equal(reader.read(), before, 'the same object while nothing changes');
    tree.boolean('virt_use_nfs', true);
    assert.equal(reader.read(), before, 'the kernel has announced no change');
    tree.page({ sequence: 6, enforcing: false });
    assert.equal(reader.read().enforcing, false);
    assert.deepEqual(reader.read().booleans, { virt_use_nfs: true, allow_execmem: true });
    tree.boolean('virt_use_execmem', true).page({ sequence: 8, enforcing: false });
    assert.equal(reader.read().booleans.virt_use_execmem, true, 'a boolean that a new policy brings');
  });

  it('reads all anew every minute, and while a change is under way', () => {
    const tree = newTree().selinux();
    const reader = new SecurityStatusReader(tree.options);
    reader.read();
    tree.write('etc/default/contexts/virtual_domain_context', 'system_u:system_r:other_t:s0\n');
    tree.nowMs = 59_999;
    assert.deepEqual(reader.read().guestTypes, ['svirt_t']);
    tree.nowMs = 60_000;
    assert.deepEqual(reader.read().guestTypes, ['other_t']);
    tree.page({ sequence: 5, enforcing: true });
    reader.read();
    tree.boolean('virt_use_nfs', true);
    assert.equal(reader.read().booleans.virt_use_nfs, true, 'an odd number is never taken for the last word');
  });

  it('is told without the status page, when only that is closed to the daemon', () => {
    const tree = newTree().selinux(false).write('selinuxfs/status', '');
    const reader = new SecurityStatusReader(tree.options);
    assert.equal(reader.read().enforcing, false);
    tree.write('selinuxfs/enforce', '1');
    assert.equal(reader.read().enforcing, true);
    tree.remove('selinuxfs/enforce');
    assert.deepEqual([reader.read().model, reader.read().enforcing], ['selinux', null]);
  });

  it('never follows a policy name out of its folder', () => {
    const tree = newTree()
      .selinux()
      .write('etc/config', 'SELINUX=enforcing\nSELINUXTYPE=../../elsewhere\n')
      .write('elsewhere/contexts/virtual_domain_context', 'system_u:system_r:wrong_t:s0\n');
    assert.deepEqual(new SecurityStatusReader(tree.options).read().guestTypes, []);
  });
});

describe('a host without SELinux', () => {
  it('says why', () => {
    const unmounted = newTree().selinux().remove('selinuxfs');
    const disabled = newTree().kernel({ selinux: true }).write('etc/config', 'SELINUX=disabled\n');
    const bootedWithout = newTree().selinux().kernel({ selinux: false });
    const noPolicy = newTree().selinux().write('proc/self/attr/current', 'kernel\0');
    const cases: readonly (readonly [SecurityTree, string])[] = [
      [newTree().kernel({ selinux: false }), 'this host has no SELinux'],
      [newTree(), 'this host has no SELinux'],
      [unmounted, `SELinux cannot be read: no selinuxfs is mounted at ${unmounted.options.selinuxfs}`],
      [disabled, `SELinux is disabled in ${disabled.root}/etc/config`],
      [bootedWithout, `the kernel runs without SELinux, though ${bootedWithout.root}/etc/config says enforcing`],
      [noPolicy, 'SELinux has no policy loaded'],
    ];
    for (const [tree, reason] of cases) {
      assert.deepEqual(new SecurityStatusReader(tree.options).read(), { model: 'none', ...NOTHING, reason });
    }
  });

  it('is not fooled by a directory at the place of selinuxfs', () => {
    const tree = newTree().selinux().kernel({ selinux: false }).remove('etc');
    assert.equal(new SecurityStatusReader(tree.options).read().reason, 'this host has no SELinux');
  });

  it('sees selinuxfs mounted, unmounted and mounted again, and a policy loaded', () => {
    const tree = newTree().selinux().remove('selinuxfs');
    const reader = new SecurityStatusReader(tree.options);
    assert.equal(reader.read().model, 'none');
    tree.selinux().write('proc/self/attr/current', 'kernel\0');
    assert.equal(reader.read().reason, 'SELinux has no policy loaded');
    tree.selinux().page({ sequence: 6, enforcing: true });
    assert.equal(reader.read().enforcing, true);
    assert.equal(reader.read(), reader.read());
    tree.remove('selinuxfs');
    assert.equal(reader.read().model, 'none');
    tree.selinux();
    assert.equal(reader.read().enforcing, true);
  });

  it('of AppArmor gives the model', () => {
    const reason = 'AppArmor is the active security module';
    const listed = newTree().kernel({ selinux: false }).write('security/lsm', 'lockdown,capability,yama,apparmor');
    assert.deepEqual(new SecurityStatusReader(listed.options).read(), { model: 'apparmor', ...NOTHING, reason });
    for (const label of ['unconfined\n', 'virtslad (enforce)\n', '/usr/sbin/virtslad (complain)\n']) {
      const tree = newTree().kernel({ selinux: false }).write('proc/self/attr/current', label);
      assert.equal(new SecurityStatusReader(tree.options).read().model, 'apparmor', label);
    }
    const smack = newTree().kernel({ selinux: false }).write('proc/self/attr/current', '_');
    assert.equal(new SecurityStatusReader(smack.options).read().model, 'none');
    const off = newTree().kernel({ selinux: false }).write('security/lsm', 'capability,yama');
    off.write('proc/self/attr/current', 'unconfined\n');
    assert.equal(new SecurityStatusReader(off.options).read().model, 'none', 'the list has the last word');
  });
});

describe('a host that cannot be asked now', () => {
  it('keeps what was last known, and never throws', () => {
    const tree = newTree().selinux();
    const reader = new SecurityStatusReader(tree.options);
    const before = reader.read();
    // A directory: opened, and not read (EISDIR).
    tree.remove('proc/filesystems').write('proc/filesystems/x', '');
    assert.equal(reader.read(), before);
    const first = new SecurityStatusReader(tree.options).read();
    assert.equal(first.model, 'none');
    assert.match(first.reason ?? '', /^cannot be told now: EISDIR/);
    tree.remove('proc/filesystems').selinux().remove('selinuxfs/booleans/virt_use_nfs');
    tree.write('selinuxfs/booleans/virt_use_nfs/x', '');
    assert.equal(reader.read(), before, 'not half of the booleans');
    tree.remove('selinuxfs/booleans/virt_use_nfs');
    assert.deepEqual(reader.read().booleans, { allow_execmem: true });
  });

  it('answers on this host', () => {
    const status = new SecurityStatusReader().read();
    assert.ok(['selinux', 'apparmor', 'none'].includes(status.model));
    assert.equal(status.reason === null, status.model === 'selinux');
  });
});
