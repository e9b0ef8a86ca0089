/** What a QEMU command line says of its guest, whoever wrote it, and by what libvirt's are told. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NAME_LENGTH_MAX, parseCommand } from '../../src/domains/bare-command.js';
import { archOf, bareFacts, isOnHugetlbfs } from '../../src/domains/bare-facts.js';
import { parseOptions, parseProperties } from '../../src/domains/bare-options.js';
import * as origin from '../../src/domains/bare-origin.js';
import { parseQemuSize } from '../../src/domains/bare-sizes.js';

const { isLibvirtGroup } = origin;

const UUID = '3f6fb426-5ee0-4a59-a5b8-34f545c6bab0';
const MIB = 2 ** 20;
const GIB = 2 ** 30;

function command(...words: readonly string[]) {
  return parseCommand(['qemu-system-x86_64', ...words]);
}

function isGuest(argv: readonly string[]): boolean {
  return origin.isGuest(parseOptions(argv));
}

function isLibvirtCommand(argv: readonly string[]): boolean {
  return origin.isLibvirtCommand(parseOptions(argv));
}

describe('options and properties', () => {
  test('words to options', () => {
    const words = ['qemu', '-S', '--name', 'a', '-m', '1G', 'disk.img', '-append', '-S', '-daemonize', '-uuid'];
    assert.deepEqual(
      parseOptions(words).map(({ name, value }) => [name, value]),
      [
        ['S', ''],
        ['name', 'a'],
        ['m', '1G'],
        ['hda', 'disk.img'],
        ['append', '-S'],
        ['daemonize', ''],
        ['uuid', ''],
      ],
    );
  });

  for (const [text, wanted] of Object.entries({
    'db,debug-threads=on': { guest: 'db', 'debug-threads': 'on' },
    'guest=a,,b,,,x=1': { guest: 'a,b,', x: '1' },
    'guest=a=b': { guest: 'a=b' },
    'guest=,': { guest: '' },
    'a,,': { guest: 'a,' },
    ',snapshot': { guest: '', snapshot: 'on' },
    '{"driver":"virtio-net-pci","mq":true,"a":{"b":[1,null]}}': { driver: 'virtio-net-pci', mq: 'on', 'a.b.0': '1' },
    '{"broken': {},
    '__proto__=1,constructor=2': { ['__proto__']: '1', constructor: '2' },
  })) {
    test(`properties of ${text}`, () => {
      assert.deepEqual([...parseProperties(text, 'guest')], Object.entries(wanted));
    });
  }

  test('sizes as QEMU reads them', () => {
    const sizes: readonly (readonly [string, number | null])[] = [
      ['512', 512 * MIB],
      ['1.5G', 1.5 * GIB],
      ['4g', 4 * GIB],
      ['0x10', 16 * MIB],
      ['1024K', MIB],
      ['1b', 1],
      ['9999E', null],
      ['-1', null],
      ['1e3', null],
      ['4GiB', null],
      ['', null],
    ];
    for (const [text, bytes] of sizes) assert.equal(parseQemuSize(text, MIB), bytes, text);
  });
});

describe('the guest', () => {
  test('name and uuid', () => {
    assert.equal(command('-name', 'db').name, 'db');
    assert.equal(command('-name', 'guest=d,,b,process=x,debug-threads=on').name, 'd,b');
    assert.equal(command('-name', 'a', '-name', 'debug-threads=on').name, 'a');
    assert.equal(command().name, null);
    assert.equal(command('-name', '\u001b[31m../../x\n').name, '\u001b[31m../../x\n');
    assert.equal(command('-name', 'x'.repeat(1e5)).name?.length, NAME_LENGTH_MAX);
    assert.equal(command('--uuid', UUID.toUpperCase()).uuid, UUID);
    assert.equal(command('-smbios', `type=1,serial=x,uuid=${UUID}`).uuid, UUID);
    for (const bad of ['', 'x', `${UUID}0`, `{${UUID}}`, '00000000-0000-0000-0000-000000000000']) {
      assert.equal(command('-uuid', bad).uuid, null, bad);
    }
  });

  for (const [smp, wanted] of [
    [[], [1, 1]],
    [['4'], [4, 4]],
    [['cpus=4,maxcpus=8,sockets=8'], [4, 8]],
    [['2,sockets=2,cores=1,threads=1'], [2, 2]],
    [['sockets=2,cores=4'], [8, 8]],
    [['maxcpus=6'], [6, 6]],
    [
      ['2', 'maxcpus=4'],
      [2, 4],
    ],
    [['nonsense'], [1, 1]],
    [['99999999999'], [1, 1]],
    [['999999'], [4096, 4096]],
  ] as const) {
    test(`-smp ${smp.join(' -smp ')}`, () => {
      const { vcpus, vcpusMax } = command(...smp.flatMap((text) => ['-smp', text]));
      assert.deepEqual([vcpus, vcpusMax], wanted);
    });
  }

  test('vCPUs of -machine', () => assert.equal(command('-M', 'q35,smp.cpus=3').vcpus, 3));

  for (const [words, wanted] of [
    [[], [128, 128]],
    [
      ['-m', '512'],
      [512, 512],
    ],
    [
      ['-m', 'size=4G,slots=2,maxmem=8G'],
      [4096, 8192],
    ],
    [
      ['-m', '1G', '-m', 'maxmem=2G'],
      [1024, 2048],
    ],
    [
      ['-m', '0'],
      [128, 128],
    ],
    [
      ['-machine', 'memory.size=256M'],
      [256, 256],
    ],
  ] as const) {
    test(`memory of ${words.join(' ')}`, () => {
      const { memoryBytes, memoryMaxBytes } = command(...words);
      assert.deepEqual([memoryBytes / MIB, memoryMaxBytes / MIB], wanted);
    });
  }

  test('what pins memory', () => {
    const plain = command('-overcommit', 'mem-lock=off', '-device', 'virtio-net-pci', '-realtime', 'mlock=off');
    assert.deepEqual(
      [plain.locked, plain.vfio, plain.hugetlb, plain.unmerged, plain.memoryPaths],
      [false, false, false, false, []],
    );
    for (const option of ['mem-lock=on', 'mem-lock', 'mem-lock=on-fault']) {
      assert.ok(command('-overcommit', option).locked, option);
    }
    assert.ok(command('-realtime', 'mlock=on').locked);
    for (const device of [
      'vfio-pci,host=01:00.0',
      '{"driver":"vfio-pci","host":"0000:01:00.0"}',
      'vhost-vdpa-device-pci',
    ]) {
      assert.ok(command('-device', device).vfio, device);
    }
    assert.ok(command('-netdev', 'vhost-vdpa,id=a,vhostdev=/dev/vhost-vdpa-0').vfio);
    assert.ok(command('-drive', 'file=nvme://0000:01:00.0/1,if=none').vfio);
    assert.ok(command('-machine', 'q35,mem-merge=off').unmerged);
    assert.ok(command('-object', '{"qom-type":"memory-backend-memfd","id":"m","hugetlb":true}').hugetlb);
    const paths = ['-mem-path', '/dev/hugepages', '-object', 'memory-backend-file,id=m,size=1G,mem-path=/mnt/x'];
    assert.deepEqual(command(...paths).memoryPaths, ['/dev/hugepages', '/mnt/x']);
  });

  test('huge pages are those of a hugetlbfs, by the mounts of the process', () => {
    const mounts = 'none / ext4 rw 0 0\nh /dev/hugepages hugetlbfs rw 0 0\nt /dev/hugepages/a\\040b tmpfs rw 0 0\n';
    assert.equal(isOnHugetlbfs(['/dev/hugepages/1'], mounts), true);
    assert.equal(isOnHugetlbfs(['/dev/hugepages'], mounts), true);
    assert.equal(isOnHugetlbfs(['/dev/hugepages/a b/1', '/dev/hugepagesx', '/var/x'], mounts), false);
    assert.equal(isOnHugetlbfs(['/dev/hugepages/1'], ''), false);
  });

  test('what the command line does not say is named', () => {
    assert.deepEqual(command().gaps, []);
    assert.match(command('-readconfig', '/etc/vm.cfg').gaps.join(), /in a file/);
    assert.match(command('-preconfig').gaps.join(), /monitor/);
    assert.match(parseCommand(['qemu'], true).gaps.join(), /too long/);
  });

  test('its description in the words of libvirt’s', () => {
    const parsed = command('-name', 'db', '-smp', '2,maxcpus=4', '-m', '1G,maxmem=3G', '-vga', 'std', '-S');
    const facts = bareFacts(parsed, { uuid: UUID, name: 'db', arch: 'x86_64', hugepages: true });
    assert.deepEqual([facts.vcpusOnline, facts.vcpusMax, facts.state, facts.id], [2, 4, 'running', null]);
    assert.equal(facts.hardware.memoryBytes, 3 * GIB);
    assert.equal(facts.hardware.currentMemoryBytes, GIB);
    assert.equal(facts.hardware.videos, 1);
    assert.ok(facts.hardware.hugepages);
    assert.equal(archOf('/usr/bin/qemu-system-aarch64', 'x86_64'), 'aarch64');
    assert.equal(archOf('/usr/bin/qemu-system-x86_64-microvm', 'x86_64'), 'x86_64');
    assert.equal(archOf('/usr/libexec/qemu-kvm', 'x86_64'), 'x86_64');
  });

  test('disks and interfaces, for people to see', () => {
    const { disks, interfaces } = command(
      ...['/a/first.img', '-drive', 'file=/a/b,,c.qcow2,if=virtio,cache=none,aio=native', '-drive', 'if=virtio'],
      ...['-drive', 'file=rbd:pool/image,id=net0', '-cdrom', 'x.iso', '-drive', 'media=cdrom,id=cd'],
      ...['-blockdev', '{"driver":"file","filename":"/a/d","node-name":"n","cache":{"direct":true}}'],
      ...['-blockdev', 'driver=qcow2,node-name=top,file=n', '-blockdev', 'driver=qcow2,node-name=q,file.driver=nbd'],
      ...['-netdev', 'tap,id=hn0,ifname=tap7', '-device', 'virtio-net-pci,netdev=hn0,mac=52:54:00:00:00:01'],
      ...['-nic', 'user', '-net', 'nic', '-net', 'tap,ifname=../etc', '-nic', 'none'],
    );
    assert.deepEqual(
      disks.map(({ id, kind, path, network, cache }) => [id, kind, path, network, cache]),
      [
        ['hda', 'disk', '/a/first.img', null, null],
        ['virtio0', 'disk', '/a/b,c.qcow2', null, 'none'],
        ['virtio1', 'disk', null, null, null],
        ['net0', 'disk', null, 'rbd', null],
        ['cdrom', 'cdrom', 'x.iso', null, null],
        ['cd', 'cdrom', null, null, null],
        ['n', 'disk', '/a/d', null, 'none'],
        ['q', 'disk', null, 'nbd', null],
      ],
    );
    assert.deepEqual(
      interfaces.map(({ type, device, mac }) => [type, device, mac]),
      [
        ['tap', 'tap7', '52:54:00:00:00:01'],
        ['user', null, null],
        ['tap', null, null],
      ],
    );
  });

  test('any words at all give a guest and no exception, quickly', () => {
    const pieces = [
      '-name',
      '-uuid',
      '-smp',
      '-m',
      '-drive',
      '-object',
      '{',
      '}',
      '"',
      ',',
      ',,',
      '=',
      '{"a":',
      '[',
      '\0',
      '-',
      '--',
    ];
    let seed = 1;
    const random = (below: number): number => {
      seed = (seed * 48271) % 2147483647;
      return seed % below;
    };
    const started = performance.now();
    for (let round = 0; round < 3000; round++) {
      const words = Array.from({ length: random(12) }, () =>
        Array.from({ length: random(6) }, () => pieces[random(pieces.length)]).join(''),
      );
      const parsed = command(...words);
      bareFacts(parsed, { uuid: UUID, name: 'x', arch: 'x', hugepages: false });
      isGuest(['q', ...words]);
      isLibvirtCommand(['q', ...words]);
    }
    for (const huge of [','.repeat(5e5), '{"a":'.repeat(1e5), `{"a":"${'x'.repeat(5e5)}"}`, 'a=b,'.repeat(1e5)]) {
      for (const option of ['-name', '-drive', '-object', '-m', '-smp']) command(option, huge);
    }
    assert.ok(performance.now() - started < 5000);
  });
});

describe('whose it is', () => {
  const LIBVIRT_9 = [
    ...['/usr/bin/qemu-system-x86_64', '-name', 'guest=pe,,ek,debug-threads=on', '-S', '-object'],
    '{"qom-type":"secret","id":"masterKey0","format":"raw","file":"/var/lib/libvirt/qemu/domain-1-x/master-key.aes"}',
    ...[
      '-machine',
      'pc-i440fx-7.2,usb=off',
      '-accel',
      'tcg',
      '-m',
      '16',
      '-smp',
      '2',
      '-uuid',
      UUID,
      '-display',
      'none',
    ],
    ...['-no-user-config', '-nodefaults', '-chardev', 'socket,id=charmonitor,fd=24,server=on,wait=off'],
    ...['-mon', 'chardev=charmonitor,id=monitor,mode=control', '-rtc', 'base=utc', '-msg', 'timestamp=on'],
  ];
  const LIBVIRT_3 = LIBVIRT_9.map((word) =>
    word.startsWith('{')
      ? 'secret,id=masterKey0,format=raw,file=/var/lib/libvirt/qemu/domain-1-x/master-key.aes'
      : word,
  );
  const PROXMOX = [
    ...['/usr/bin/kvm', '-id', '100', '-name', 'web,debug-threads=on', '-no-shutdown', '-chardev'],
    ...['socket,id=qmp,path=/var/run/qemu-server/100.qmp,server=on,wait=off', '-mon', 'chardev=qmp,mode=control'],
    ...['-daemonize', '-smbios', `type=1,uuid=${UUID}`, '-smp', '4,sockets=1,cores=4,maxcpus=4', '-nodefaults'],
  ];

  test('libvirt’s command lines', () => {
    assert.equal(isLibvirtCommand(LIBVIRT_9), true);
    assert.equal(isLibvirtCommand(LIBVIRT_3), true);
    assert.equal(isLibvirtCommand(LIBVIRT_9.filter((word) => !word.includes('masterKey0'))), true);
    assert.equal(isLibvirtCommand(LIBVIRT_9.filter((word) => !word.includes('charmonitor'))), true);
    assert.equal(isLibvirtCommand(PROXMOX), false);
    assert.equal(
      isLibvirtCommand(['qemu', '-name', 'guest=x,debug-threads=on', '-append', 'masterKey0 charmonitor']),
      false,
    );
    assert.equal(isLibvirtCommand(['qemu', '-name', '{"qom-type":"secret","id":"masterKey0"}']), false);
    assert.equal(parseCommand(LIBVIRT_9).name, 'pe,ek');
    assert.equal(parseCommand(PROXMOX).uuid, UUID);
  });

  test('libvirt’s groups', () => {
    for (const path of [
      '/machine/qemu-1-x.libvirt-qemu',
      '/machine/qemu-1-x.libvirt-qemu/emulator',
      '/machine.slice/machine-qemu\\x2d1\\x2dx.scope/libvirt/emulator',
      '/machine/production.partition/qemu-1-x.libvirt-qemu',
    ]) {
      assert.equal(isLibvirtGroup(`1:cpu:${path}\n0::/\n`), true, path);
    }
    for (const path of ['/', '/machine.slice/vm-foo.service', '/system.slice/run-u12.scope', '/qemu.slice/100.scope']) {
      assert.equal(isLibvirtGroup(`0::${path}\n`), false, path);
    }
  });

  test('a QEMU without a guest', () => {
    const probe = [
      '-S',
      '-no-user-config',
      '-nodefaults',
      '-nographic',
      '-machine',
      'none,accel=kvm:tcg',
      '-daemonize',
    ];
    for (const words of [probe, ['--version'], ['-M', 'help'], ['-device', 'help'], ['-xen-domid', '4']]) {
      assert.equal(isGuest(['qemu', ...words]), false, words.join(' '));
    }
    assert.equal(isGuest(PROXMOX), true);
    assert.equal(isGuest(['qemu', '-name', 'help', '-hda', 'help']), true);
  });
});
