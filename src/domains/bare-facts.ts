/**
 * A bare guest's description in the words of libvirt's, from its command line. Pure. What the command line cannot say is
 * put on the careful side: memory that might have been plugged in counts as there.
 */
import type { BareCommand } from './bare-command.js';
import type { BareDisk } from './bare-devices.js';
import type { DiskDevice, DomainFacts } from './types.js';

export interface BareFactsContext {
  readonly uuid: string;
  readonly name: string;
  /** The guest's architecture, `x86_64`. */
  readonly arch: string;
  readonly hugepages: boolean;
}

/** A running guest's; whether it is paused is known to QEMU's monitor alone, which is never asked. */
export function bareFacts(command: BareCommand, { uuid, name, arch, hugepages }: BareFactsContext): DomainFacts {
  return {
    uuid,
    name,
    title: '',
    description: '',
    metadata: [],
    id: null,
    state: 'running',
    persistent: false,
    vcpusOnline: command.vcpus,
    vcpusMax: command.vcpusMax,
    hardware: {
      arch,
      memoryBytes: command.memoryMaxBytes,
      currentMemoryBytes: command.memoryBytes,
      locked: command.locked,
      hugepages,
      vfio: command.vfio,
      ioThreads: command.ioThreads,
      videos: command.videos,
      tpm: command.tpm,
      encrypted: command.encrypted,
      unmerged: command.unmerged,
      cpuset: null,
    },
    tuning: {
      cpu: { realtimeVcpus: false },
      memory: {},
      blkio: { devices: [] },
      disks: disksOf(command.disks),
      interfaces: command.interfaces.map(({ type, device, mac }) => ({
        mac: mac ?? '',
        type,
        device,
        inbound: null,
        outbound: null,
      })),
      pins: {},
    },
    definition: null,
    originalsXml: null,
  };
}

/** Two of one name: the second is `NAME#2`. A path that is not absolute depends on where QEMU was started: not given. */
function disksOf(disks: readonly BareDisk[]): DiskDevice[] {
  const seen = new Map<string, number>();
  return disks.map(({ id, kind, path, network, cache, readOnly }) => {
    const count = (seen.get(id) ?? 0) + 1;
    seen.set(id, count);
    const sourceType = network !== null ? 'network' : path?.startsWith('/dev/') ? 'block' : 'file';
    return {
      target: count === 1 ? id : `${id}#${count}`,
      device: kind,
      sourceType,
      path: path?.startsWith('/') ? path : null,
      empty: path === null && network === null,
      cache,
      readOnly,
      throttle: { fields: {}, group: null },
    };
  });
}

/** The architecture that a QEMU program emulates: `qemu-system-aarch64` says it, `qemu-kvm` is for the host's own. */
export function archOf(executable: string, hostArch: string): string {
  const name = /qemu-system-([a-z\d_]+)[^/]*$/.exec(executable)?.[1];
  return name === undefined || name === 'native' ? hostArch : name;
}

/** True when one of the files is on a hugetlbfs. `mountsText`: /proc/PID/mounts of the process that opened them. */
export function isOnHugetlbfs(paths: readonly string[], mountsText: string): boolean {
  const mounts = mountsText
    .split('\n')
    .map((line) => line.split(' '))
    .map(([, directory = '', type]) => ({ directory: unescaped(directory).replace(/\/$/, ''), type }));
  return paths.some((path) => {
    const holding = mounts.filter(({ directory }) => path === directory || path.startsWith(`${directory}/`));
    // The deepest; of two on one directory, the later hides the other.
    const deepest = holding.reduce((best, one) => (one.directory.length >= best.directory.length ? one : best), {
      directory: '',
      type: undefined as string | undefined,
    });
    return deepest.type === 'hugetlbfs';
  });
}

/** Blanks and the like are written in octal, `\040` (proc(5)). */
function unescaped(text: string): string {
  return text.replace(/\\([0-3][0-7]{2})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
