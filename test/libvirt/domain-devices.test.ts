import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DiskDevice, InterfaceDevice } from '../../src/domains/types.js';
import { parseDomainXml } from '../../src/host/libvirt/domain-xml.js';
import { fakeDisk, fakeInterface } from '../fakes/fake-tuning.js';

function devices(content: string) {
  return parseDomainXml(`<domain type='kvm' id='7'><name>db-1</name><devices>${content}</devices></domain>`).tuning;
}

function disk(content: string): DiskDevice | undefined {
  return devices(content).disks[0];
}

function face(content: string): InterfaceDevice | undefined {
  return devices(content).interfaces[0];
}

describe('disks in domain XML', () => {
  it('have target, source and cache', () => {
    // As libvirt 9 writes the live XML of a snapshot on a block device, being mirrored.
    const found = disk(`
      <disk type='file' device='disk' snapshot='external'>
        <driver name='qemu' type='qcow2' cache='none' io='native'/>
        <source file='/images/top.qcow2' index='3'/>
        <backingStore type='block' index='4'>
          <format type='raw'/>
          <source dev='/dev/vg/base'/>
          <backingStore/>
        </backingStore>
        <mirror type='file' job='copy'><source file='/images/copy'/></mirror>
        <target dev='vda' bus='virtio'/>
        <alias name='virtio-disk0'/>
      </disk>`);
    assert.deepEqual(found, fakeDisk({ target: 'vda', path: '/images/top.qcow2', backing: ['/dev/vg/base'] }));
  });

  it('stand on images in the order of their chain, as far as those are files of this host', () => {
    const found = disk(`<disk type='file'><source file='/top'/><backingStore type='file'><source file='/middle'/>
      <backingStore type='network'><source protocol='rbd' name='x'/><backingStore type='file'><source file='/base'/>
      <backingStore/></backingStore></backingStore></backingStore><target dev='vda'/></disk>`);
    assert.deepEqual(found?.backing, ['/middle', '/base']);
    const alone = disk("<disk type='file'><source file='/x'/><backingStore/><target dev='vda'/></disk>");
    assert.ok(alone !== undefined && !('backing' in alone));
  });

  it('are shared, or without a label of sVirt', () => {
    const labelled = (seclabel: string) =>
      disk(`<disk type='file'><source file='/x'>${seclabel}</source><target dev='vda'/></disk>`)?.unlabelled;
    assert.equal(labelled("<seclabel model='selinux' relabel='no'/>"), true);
    assert.equal(labelled("<seclabel relabel='no'/>"), true);
    assert.equal(labelled("<seclabel model='selinux' labelskip='yes'/>"), true);
    assert.equal(labelled("<seclabel model='dac' relabel='no'/>"), undefined);
    assert.equal(labelled("<seclabel model='selinux' relabel='yes'><label>a:b:c:s0</label></seclabel>"), undefined);
    assert.equal(labelled(''), undefined);
    const shared = disk("<disk type='file'><source file='/x'/><target dev='vda'/><shareable/></disk>");
    assert.equal(shared?.shareable, true);
  });

  it('on a block device have its path', () => {
    const found = disk(
      "<disk type='block' device='lun'><source dev='/dev/disk/by-id/x'/><target dev='sda'/><readonly/></disk>",
    );
    const expected = { target: 'sda', device: 'lun', sourceType: 'block', path: '/dev/disk/by-id/x' } as const;
    assert.deepEqual(found, fakeDisk({ ...expected, cache: null, readOnly: true }));
  });

  it('on a network have none, and are not empty', () => {
    const source = "<source protocol='rbd' name='pool/image'><host name='mon'/></source>";
    const found = disk(`<disk type='network' device='disk'>${source}<target dev='vdb'/></disk>`);
    assert.deepEqual([found?.sourceType, found?.path, found?.empty], ['network', null, false]);
  });

  for (const [what, source] of [
    ['no source', ''],
    ['an optional one that is missing', "<source startupPolicy='optional'/>"],
    ['an empty one', "<source file=''/>"],
  ]) {
    it(`are empty with ${what}`, () => {
      const found = disk(`<disk type='file' device='cdrom'>${source}<target dev='sda' bus='sata'/><readonly/></disk>`);
      assert.deepEqual(
        found,
        fakeDisk({ target: 'sda', device: 'cdrom', path: null, empty: true, cache: null, readOnly: true }),
      );
    });
  }

  it('of type block without a source are empty too', () => {
    assert.equal(disk("<disk type='block' device='floppy'><target dev='fda'/></disk>")?.empty, true);
  });

  it('have the throttle that is set, without zeros', () => {
    const found = disk(
      "<disk type='file'><source file='/a'/><target dev='vda'/><iotune><total_bytes_sec>0</total_bytes_sec>" +
        '<read_iops_sec>500</read_iops_sec><write_iops_sec>200</write_iops_sec><read_iops_sec_max>700</read_iops_sec_max>' +
        '<read_iops_sec_max_length>10</read_iops_sec_max_length><size_iops_sec>4096</size_iops_sec>' +
        '<group_name>a &amp; b</group_name><made_up>3</made_up><write_iops_sec_max>x</write_iops_sec_max></iotune></disk>',
    );
    assert.deepEqual(found?.throttle, {
      fields: {
        read_iops_sec: 500,
        write_iops_sec: 200,
        read_iops_sec_max: 700,
        size_iops_sec: 4096,
        read_iops_sec_max_length: 10,
      },
      group: 'a & b',
    });
  });

  it('without a target are left out, and of two with one target the first counts', () => {
    const { disks } = devices(
      "<disk type='file'><source file='/a'/></disk><disk type='file'><source file='/b'/><target dev=''/></disk>" +
        "<disk type='file'><source file='/c'/><target dev='vda'/></disk>" +
        "<disk type='file'><source file='/d'/><target dev='vda'/></disk>" +
        "<disk type='file'><source file='/e'/><target dev='__proto__'/></disk>",
    );
    assert.deepEqual(
      disks.map(({ target, path }) => [target, path]),
      [
        ['vda', '/c'],
        ['__proto__', '/e'],
      ],
    );
  });

  it('of a kind that we do not know are taken for disks', () => {
    const found = disk("<disk type='quantum' device='drum'><target dev='vda'/></disk>");
    assert.deepEqual([found?.device, found?.sourceType, found?.path, found?.empty], ['disk', 'quantum', null, true]);
  });
});

describe('interfaces in domain XML', () => {
  it('have MAC, type, device and bandwidth', () => {
    const found = face(
      "<interface type='bridge'><mac address='52:54:00:AB:00:01'/><source bridge='br0'/><target dev='vnet3'/>" +
        "<bandwidth><inbound average='1000' peak='5000' floor='200' burst='1024'/><outbound average='128'/></bandwidth>" +
        "<model type='virtio'/></interface>",
    );
    assert.deepEqual(
      found,
      fakeInterface({
        mac: '52:54:00:ab:00:01',
        device: 'vnet3',
        inbound: { averageKbytes: 1000, peakKbytes: 5000, floorKbytes: 200, burstKbytes: 1024 },
        outbound: { averageKbytes: 128 },
      }),
    );
  });

  it('have no device where the guest does not run, or the type has none', () => {
    assert.deepEqual(
      face("<interface type='user'><mac address='52:54:00:00:00:01'/></interface>"),
      fakeInterface({ mac: '52:54:00:00:00:01', type: 'user' }),
    );
  });

  it('have no limit where the XML says nothing of use', () => {
    const found = face(
      "<interface type='network'><mac address='m'/><bandwidth><inbound peak='5'/><outbound average='0' burst='x'/>" +
        '</bandwidth></interface>',
    );
    assert.deepEqual([found?.inbound, found?.outbound], [null, null]);
    const floor = face("<interface type='network'><bandwidth><inbound floor='5'/></bandwidth></interface>");
    assert.deepEqual([floor?.mac, floor?.inbound], ['', { averageKbytes: 0, floorKbytes: 5 }]);
  });
});
