import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { unitOfGroup } from '../../src/host/systemd/unit-name.js';

const ROOT = '/sys/fs/cgroup';

describe('the unit of a cgroup', () => {
  it('is the last name of its path, as systemd spells it', () => {
    for (const [path, unit] of [
      ['machine.slice', 'machine.slice'],
      ['machine.slice/', 'machine.slice'],
      ['machine.slice/machine-production.slice', 'machine-production.slice'],
      ['machine.slice/machine-qemu\\x2d1\\x2dgold.scope', 'machine-qemu\\x2d1\\x2dgold.scope'],
      [
        'machine.slice/machine-a.slice/machine-qemu\\x2d2\\x2da.b\\x20c.scope',
        'machine-qemu\\x2d2\\x2da.b\\x20c.scope',
      ],
      ['system.slice/bare-qemu.service', 'bare-qemu.service'],
      ['system.slice/system-qemu.slice/qemu@web.service', 'qemu@web.service'],
      ['init.scope', 'init.scope'],
    ] as const) {
      for (const mount of [ROOT, `${ROOT}/unified`, `${ROOT}/memory`, '']) {
        assert.equal(unitOfGroup(`${mount}/${path}`), unit);
      }
    }
  });

  it('is without the underscore that keeps it from being taken for a file of the kernel', () => {
    assert.equal(unitOfGroup(`${ROOT}/_memory.slice`), 'memory.slice');
    assert.equal(unitOfGroup(`${ROOT}/_cgroup.slice/__x.scope`), '_x.scope');
    assert.equal(unitOfGroup(`${ROOT}/machine.slice/_.a.scope`), '.a.scope');
  });

  it('is none for what is below a unit, or nobody of systemd', () => {
    for (const path of [
      '',
      '/',
      ROOT,
      `${ROOT}/machine.slice/machine-qemu\\x2d1\\x2dgold.scope/libvirt`,
      `${ROOT}/machine.slice/machine-qemu\\x2d1\\x2dgold.scope/libvirt/vcpu0`,
      `${ROOT}/cpu/machine/qemu-1-gold.libvirt-qemu`,
      `${ROOT}/machine.slice/.scope`,
      `${ROOT}/machine.slice/_.slice`,
      `${ROOT}/machine.slice/web.partition/a.scope`,
    ]) {
      assert.equal(unitOfGroup(path), null, path);
    }
  });

  it('is none for a unit of a user or a container: the system would make a slice of that name', () => {
    const user = `${ROOT}/user.slice/user-1000.slice/user@1000.service`;
    assert.equal(unitOfGroup(user), 'user@1000.service');
    assert.equal(unitOfGroup(`${user}/app.slice`), null);
    assert.equal(unitOfGroup(`${user}/app.slice/app-boxes.scope`), null);
    assert.equal(unitOfGroup(`${ROOT}/system.slice/docker-1.scope/machine.slice`), null);
    assert.equal(unitOfGroup(`${ROOT}/lxc.service/machine.slice`), null);
  });
});
