/** The client on a real libvirtd and a real QEMU. */
import { after } from 'node:test';
import { connectLibvirt } from '../../src/host/libvirt/connect.js';
import { Lab } from '../support/lab.js';
import { clientContract } from './client-contract.js';
import { keepingLog } from './keeping-log.js';

const lab = await Lab.open();
after(() => lab.close());

const guest = await lab.startGuest({
  name: 'contract',
  vcpus: 2,
  burn: false,
  persistent: true,
  metadataXml: '<metadata><app:role xmlns:app="urn:x" name="db"/></metadata>',
  cputuneXml: '<cputune><shares>512</shares><quota>50000</quota></cputune>',
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
  originals: async () =>
    /<virtslad:originals[\s\S]*<\/virtslad:originals>/.exec(await virsh('dumpxml', guest.uuid))?.[0] ?? null,
}));
