import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Hardware } from '../../src/domains/types.js';
import { parseDomainXml } from '../../src/host/libvirt/domain-xml.js';
import { defaultHardware } from '../fakes/fake-tuning.js';

const MIB = 1024 ** 2;

function hardware(content: string): Hardware {
  return parseDomainXml(`<domain type='kvm' id='7'><name>db-1</name>${content}</domain>`).hardware;
}

function withDevice(device: string): Hardware {
  return hardware(`<devices>${device}</devices>`);
}

describe('hardware in domain XML', () => {
  it('is as bare as the XML', () => {
    assert.deepEqual(hardware(''), defaultHardware({ arch: '', memoryBytes: 0, currentMemoryBytes: 0 }));
  });

  it('has architecture, memory and what the balloon leaves of it', () => {
    const found = hardware(
      "<memory unit='KiB'>2097152</memory><currentMemory unit='KiB'>1048576</currentMemory>" +
        "<vcpu placement='static' cpuset='0-3,^1'>2</vcpu><os><type arch='aarch64' machine='virt'>hvm</type></os>",
    );
    assert.deepEqual(
      found,
      defaultHardware({
        arch: 'aarch64',
        memoryBytes: 2048 * MIB,
        currentMemoryBytes: 1024 * MIB,
        cpuset: '0-3,^1',
      }),
    );
    assert.equal(hardware("<memory unit='MiB'>64</memory>").currentMemoryBytes, 64 * MIB);
  });

  for (const [text, bytes] of [
    ['<memory>1</memory>', 1024],
    ["<memory unit='b'>7</memory>", 7],
    ["<memory unit='bytes'>7</memory>", 7],
    ["<memory unit='KB'>1</memory>", 1000],
    ["<memory unit='k'>1</memory>", 1024],
    ["<memory unit='MB'>1</memory>", 1e6],
    ["<memory unit='MiB'>1</memory>", MIB],
    ["<memory unit='m'>1</memory>", MIB],
    ["<memory unit='GiB'>3</memory>", 3 * 1024 * MIB],
    ["<memory unit='TB'>1</memory>", 1e12],
    ["<memory unit='parsec'>1</memory>", 0],
    ['<memory>-1</memory>', 0],
    ['<memory>many</memory>', 0],
  ] as const) {
    it(`reads ${text} as ${bytes} bytes`, () => assert.equal(hardware(text).memoryBytes, bytes));
  }

  it('knows memory that is locked, huge or kept from merging', () => {
    const found = hardware(
      '<memoryBacking><hugepages><page size="2048"/></hugepages><locked/><nosharepages/></memoryBacking>',
    );
    assert.deepEqual([found.hugepages, found.locked, found.unmerged], [true, true, true]);
  });

  for (const [device, vfio] of [
    ["<hostdev mode='subsystem' type='pci' managed='yes'><driver name='vfio'/></hostdev>", true],
    ["<hostdev mode='subsystem' type='mdev' model='vfio-pci'/>", true],
    ["<interface type='hostdev' managed='yes'/>", true],
    ["<interface type='vdpa'/>", true],
    ["<disk type='nvme' device='disk'><target dev='vda'/></disk>", true],
    ["<disk type='vhostvdpa' device='disk'><target dev='vda'/></disk>", true],
    ["<hostdev mode='subsystem' type='usb'/>", false],
    ["<hostdev mode='subsystem' type='scsi'/>", false],
    ["<interface type='vhostuser'/>", false],
    ["<disk type='vhostuser' device='disk'><target dev='vda'/></disk>", false],
  ] as const) {
    it(`${vfio ? 'pins all memory for' : 'leaves memory as it is with'} ${device}`, () =>
      assert.equal(withDevice(device).vfio, vfio));
  }

  for (const [device, vhostUser] of [
    ["<interface type='vhostuser'/>", true],
    ["<disk type='vhostuser' device='disk'><target dev='vda'/></disk>", true],
    ["<video><driver name='vhostuser'/><model type='virtio'/></video>", true],
    ["<filesystem type='mount'><driver type='virtiofs'/></filesystem>", true],
    ["<filesystem type='mount'><driver type='path'/></filesystem>", false],
    ["<interface type='bridge'><driver name='vhost'/></interface>", false],
    ["<video><driver name='qemu'/></video>", false],
  ] as const) {
    it(`${vhostUser ? 'has' : 'has nothing of'} its state in another process with ${device}`, () =>
      assert.equal(withDevice(device).vhostUser, vhostUser));
  }

  for (const [xml, invtsc] of [
    ["<cpu><feature policy='require' name='invtsc'/></cpu>", true],
    ["<cpu><feature name='invtsc'/></cpu>", true],
    ["<cpu><feature policy='disable' name='invtsc'/></cpu>", false],
    ["<cpu><feature policy='require' name='tsc'/></cpu>", false],
    ["<cpu mode='host-passthrough' migratable='off'/>", true],
    ["<cpu mode='host-passthrough' migratable='on'/>", false],
    [
      "<cpu><feature policy='require' name='invtsc'/></cpu><clock><timer name='tsc' frequency='2000000000'/></clock>",
      false,
    ],
    ["<cpu><feature policy='require' name='invtsc'/></cpu><clock><timer name='tsc'/></clock>", true],
  ] as const) {
    it(`${invtsc ? 'promises' : 'promises no'} steady TSC with ${xml}`, () =>
      assert.equal(hardware(xml).invtsc, invtsc));
  }

  it('counts I/O threads, by number or by name', () => {
    assert.equal(hardware('<iothreads>4</iothreads>').ioThreads, 4);
    const named = '<iothreadids><iothread id="2"/><iothread id="4"/></iothreadids>';
    assert.equal(hardware(`<iothreads>2</iothreads>${named}`).ioThreads, 2);
    assert.equal(hardware(named).ioThreads, 2);
  });

  it('counts video devices, and knows that there may be none', () => {
    const video = "<video><model type='virtio'/></video>";
    assert.equal(withDevice(video + video).videos, 2);
    assert.equal(withDevice("<video><model type='none'/></video>").videos, 0);
  });

  it('knows an emulated TPM and encrypted memory', () => {
    assert.equal(withDevice("<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>").tpm, true);
    assert.equal(withDevice("<tpm><backend type='passthrough'><device path='/dev/tpm0'/></backend></tpm>").tpm, false);
    assert.equal(hardware("<launchSecurity type='sev'/>").encrypted, true);
  });
});
