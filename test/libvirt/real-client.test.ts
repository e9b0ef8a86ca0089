/** The client on a real libvirtd and a real QEMU. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after } from 'node:test';
import { connectLibvirt } from '../../src/host/libvirt/connect.js';
import { Lab } from '../support/lab.js';
import { clientContract, MAC } from './client-contract.js';
import { keepingLog } from './keeping-log.js';
import { openTapLab } from './tap-lab.js';

const PAIR = '<iotune><total_iops_sec>500</total_iops_sec><group_name>pair</group_name></iotune>';

const { lab } = await openTapLab(() => Lab.open());
after(() => lab.close());

function image(target: string): string {
  const path = join(lab.directory, 'images', `${target}.img`);
  writeFileSync(path, Buffer.alloc(1024 ** 2), { mode: 0o666 });
  return path;
}

const guest = await lab.startGuest({
  name: 'contract',
  vcpus: 2,
  persistent: true,
  metadataXml: '<metadata><app:role xmlns:app="urn:x" name="db"/></metadata>',
  cputuneXml: '<cputune><shares>512</shares><quota>50000</quota></cputune>',
  disks: [
    { target: 'vdb', path: image('vdb'), iotuneXml: PAIR },
    { target: 'vdc', path: image('vdc'), iotuneXml: PAIR },
    { target: 'hdc', path: null, cdrom: true },
  ],
  interfaces: [
    { source: 'ethernet', mac: MAC[0], bandwidthXml: "<bandwidth><inbound average='1000'/></bandwidth>" },
    { source: 'user', mac: MAC[1] },
  ],
});
const virsh = async (...args: string[]) => {
  const { code, stdout, stderr } = await guest.virsh(args);
  if (code !== 0) throw new Error(stderr);
  return stdout;
};

clientContract('the client on real libvirtd and QEMU is a libvirt client', () => ({
  client: connectLibvirt({ uri: lab.libvirtd.uri, log: keepingLog() }),
  uuid: guest.uuid,
  name: guest.name,
  startGuest: () => virsh('start', guest.uuid),
  stopGuest: () => virsh('destroy', guest.uuid),
  suspendGuest: () => virsh('suspend', guest.uuid),
  resumeGuest: () => virsh('resume', guest.uuid),
  schedinfo: (parameters) => {
    const list = Object.entries(parameters).map(([key, value]) => `${key}=${value}`);
    return virsh('schedinfo', guest.uuid, '--live', '--set', ...list);
  },
  blkdeviotune: (disk, field, value) =>
    virsh('blkdeviotune', guest.uuid, disk, `--${field.replaceAll('_', '-')}`, String(value), '--live'),
  plugDisk: (target) => guest.plugDisk({ target, path: image(target) }),
  unplugDisk: (target) => guest.unplugDisk(target),
  plugInterface: (mac) => guest.plugInterface({ source: 'user', mac }),
  unplugInterface: (mac) => guest.unplugInterface(mac),
  originals: async () =>
    /<virtslad:originals[\s\S]*<\/virtslad:originals>/.exec(await virsh('dumpxml', guest.uuid))?.[0] ?? null,
}));
