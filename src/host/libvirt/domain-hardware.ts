/**
 * The guest's hardware as far as it decides about memory and vCPUs: takes a parsed `<domain>`, gives Hardware. Pure.
 * Format: https://libvirt.org/formatdomain.html
 */
import type { Hardware } from '../../domains/types.js';
import { memoryBytes } from './memory-size.js';
import { attribute, child, childInteger, children, type XmlNode } from './xml-tree.js';

export function readHardware(domain: XmlNode): Hardware {
  const devices = child(domain, 'devices');
  const backing = child(domain, 'memoryBacking');
  const memory = memoryBytes(child(domain, 'memory')) ?? 0;
  return {
    arch: attribute(child(child(domain, 'os'), 'type'), 'arch') ?? '',
    memoryBytes: memory,
    currentMemoryBytes: memoryBytes(child(domain, 'currentMemory')) ?? memory,
    locked: child(backing, 'locked') !== undefined,
    hugepages: child(backing, 'hugepages') !== undefined,
    vfio: holdsHostDevice(devices),
    ioThreads: ioThreads(domain),
    videos: children(devices, 'video').filter((video) => attribute(child(video, 'model'), 'type') !== 'none').length,
    tpm: children(devices, 'tpm').some((tpm) => attribute(child(tpm, 'backend'), 'type') === 'emulator'),
    encrypted: child(domain, 'launchSecurity') !== undefined,
    unmerged: child(backing, 'nosharepages') !== undefined,
    cpuset: attribute(child(domain, 'vcpu'), 'cpuset') ?? null,
    vhostUser: holdsVhostUser(devices),
    invtsc: promisesTsc(domain),
  };
}

/** Devices whose state is in another process. virtiofs is one too; libvirt refuses to save a guest with it. */
function holdsVhostUser(devices: XmlNode | undefined): boolean {
  const isOf = (name: string, type: string) => children(devices, name).some((one) => attribute(one, 'type') === type);
  return (
    isOf('interface', 'vhostuser') ||
    isOf('disk', 'vhostuser') ||
    children(devices, 'video').some((video) => attribute(child(video, 'driver'), 'name') === 'vhostuser') ||
    children(devices, 'filesystem').some((one) => attribute(child(one, 'driver'), 'type') === 'virtiofs')
  );
}

/**
 * QEMU neither saves nor migrates a guest with invtsc unless the rate is fixed by `<timer name='tsc' frequency=…>`. The
 * host's own model with `migratable='off'` has it wherever the host has.
 */
function promisesTsc(domain: XmlNode): boolean {
  const cpu = child(domain, 'cpu');
  const fixed = children(child(domain, 'clock'), 'timer').some(
    (timer) => attribute(timer, 'name') === 'tsc' && attribute(timer, 'frequency') !== undefined,
  );
  const promised =
    attribute(cpu, 'migratable') === 'off' ||
    children(cpu, 'feature').some(
      (one) =>
        attribute(one, 'name') === 'invtsc' && ['require', 'force'].includes(attribute(one, 'policy') ?? 'require'),
    );
  return promised && !fixed;
}

/**
 * Devices whose DMA pins all guest memory: PCI functions and mediated devices, also as `<interface>`, NVMe disks (whose
 * driver in QEMU is VFIO's), and vDPA. USB and SCSI devices handed through pin nothing.
 */
function holdsHostDevice(devices: XmlNode | undefined): boolean {
  return (
    children(devices, 'hostdev').some((device) => ['pci', 'mdev'].includes(attribute(device, 'type') ?? '')) ||
    children(devices, 'interface').some((device) => ['hostdev', 'vdpa'].includes(attribute(device, 'type') ?? '')) ||
    children(devices, 'disk').some((device) => ['nvme', 'vhostvdpa'].includes(attribute(device, 'type') ?? ''))
  );
}

/** `<iothreads>` gives the number; `<iothreadids>` may name more. */
function ioThreads(domain: XmlNode): number {
  const named = children(child(domain, 'iothreadids'), 'iothread').length;
  return Math.max(childInteger(domain, 'iothreads') ?? 0, named, 0);
}
