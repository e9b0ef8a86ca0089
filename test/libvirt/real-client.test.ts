import { connectLibvirt } from '../../src/host/libvirt/connect.js';
import { clientContract } from './client-contract.js';
import { keepingLog } from './keeping-log.js';
import { QEMU_URI, qemuMissing, startGuest, virsh } from './real-guests.js';

clientContract('the client on real libvirtd and QEMU is a libvirt client', { skip: qemuMissing() }, () => {
  const guest = startGuest(
    'contract',
    `<metadata><app:role xmlns:app="urn:x" name="db"/></metadata>
     <cputune><shares>512</shares><quota>50000</quota></cputune>`,
    2,
  );
  const { name, uuid } = guest;
  return {
    client: connectLibvirt({ uri: QEMU_URI, log: keepingLog() }),
    uuid,
    name,
    startGuest: () => void virsh('start', name),
    stopGuest: () => void virsh('destroy', name),
    suspendGuest: () => void virsh('suspend', name),
    resumeGuest: () => void virsh('resume', name),
    schedinfo: (parameters) => {
      const list = Object.entries(parameters).map(([key, value]) => `${key}=${value}`);
      virsh('schedinfo', name, '--live', '--set', ...list);
    },
    originals: () => /<virtslad:originals[\s\S]*<\/virtslad:originals>/.exec(virsh('dumpxml', name))?.[0] ?? null,
    end: () => guest.remove(),
  };
});
