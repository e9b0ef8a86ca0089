/**
 * A domain as this host sees it now. Facts come from libvirt (its XML) and from the kernel (process, cgroup);
 * nothing is derived by parsing a name back out of a path.
 */
import type { SecurityStatus } from '../host/selinux/status.js';
import type { DomainAttributes } from '../policy/types.js';
import type { Violation } from '../svirt/judge.js';

export type DomainState = 'starting' | 'running' | 'paused' | 'shutdown' | 'shutoff' | 'crashed' | 'pmsuspended';

/** CPU tuning as libvirt's live XML has it; an absent field is libvirt's default. */
export interface CpuTune {
  readonly shares?: number;
  readonly vcpuPeriodUsec?: number;
  /** Negative: no quota. */
  readonly vcpuQuotaUsec?: number;
  readonly globalPeriodUsec?: number;
  readonly globalQuotaUsec?: number;
  /** A `<vcpusched>` with fifo or rr exists: quotas do not bind those threads. */
  readonly realtimeVcpus: boolean;
}

/** Memory tuning as libvirt's XML has it, KiB; an absent field is libvirt's default, no limit. */
export interface MemoryTune {
  readonly hardLimitKib?: number;
  readonly softLimitKib?: number;
  readonly swapHardLimitKib?: number;
}

/** Block tuning of the whole guest. */
export interface BlkioTune {
  readonly weight?: number;
  /** `<device>` elements: limits and weight on one host device, by the path that the XML gives. */
  readonly devices: readonly BlkioDevice[];
}

export interface BlkioDevice {
  readonly path: string;
  readonly weight?: number;
  readonly readBytesPerSecond?: number;
  readonly writeBytesPerSecond?: number;
  readonly readOperationsPerSecond?: number;
  readonly writeOperationsPerSecond?: number;
}

/** Fields of libvirt's `<iotune>` and of virDomainSetBlockIoTune, in its order; 0 = none. Bursts (`_max`) last `_max_length` seconds. */
export const THROTTLE_FIELDS = [
  'total_bytes_sec',
  'read_bytes_sec',
  'write_bytes_sec',
  'total_iops_sec',
  'read_iops_sec',
  'write_iops_sec',
  'total_bytes_sec_max',
  'read_bytes_sec_max',
  'write_bytes_sec_max',
  'total_iops_sec_max',
  'read_iops_sec_max',
  'write_iops_sec_max',
  'size_iops_sec',
  'total_bytes_sec_max_length',
  'read_bytes_sec_max_length',
  'write_bytes_sec_max_length',
  'total_iops_sec_max_length',
  'read_iops_sec_max_length',
  'write_iops_sec_max_length',
] as const;

export type ThrottleField = (typeof THROTTLE_FIELDS)[number];

/** QEMU's throttle of one disk: the fields that are not 0, and the group that shares it (null: the disk's own). */
export interface DiskThrottle {
  readonly fields: Readonly<Partial<Record<ThrottleField, number>>>;
  readonly group: string | null;
}

/** One `<disk>`. */
export interface DiskDevice {
  /** `vda`: unique in the guest and stable over restarts. */
  readonly target: string;
  readonly device: 'disk' | 'cdrom' | 'floppy' | 'lun';
  /** `file`, `block`, `network`, `vhostuser`, `nvme`, `volume` … */
  readonly sourceType: string;
  /** Path on this host of a file or block source; null for others and for an empty drive. */
  readonly path: string | null;
  /** There is no medium. */
  readonly empty: boolean;
  readonly cache: string | null;
  readonly readOnly: boolean;
  readonly throttle: DiskThrottle;
  /** `<shareable/>`: other guests may write to it too, so that sVirt gives it a label without categories. */
  readonly shareable?: true;
  /** Its source says that sVirt is to leave its label alone, or that libvirt could not set one. */
  readonly unlabelled?: true;
  /** Paths on this host of the images below it, nearest first, where the live XML shows them; never an empty list. */
  readonly backing?: readonly string[];
}

/** libvirt's `<bandwidth>`: average and peak in kilobytes a second, burst in kilobytes (formatdomain, "Quality of service"). */
export interface Bandwidth {
  readonly averageKbytes: number;
  readonly peakKbytes?: number;
  readonly burstKbytes?: number;
  /** Promised rate of an interface on a network with bandwidth of its own. */
  readonly floorKbytes?: number;
}

/** One `<interface>`. */
export interface InterfaceDevice {
  readonly mac: string;
  /** `bridge`, `network`, `ethernet`, `direct`, `user`, `vhostuser`, `hostdev` … */
  readonly type: string;
  /** Device on this host, `vnet0`; null when there is none or the guest does not run. */
  readonly device: string | null;
  readonly inbound: Bandwidth | null;
  readonly outbound: Bandwidth | null;
}

/** Everything that can be tuned on a domain, as libvirt's XML has it. */
export interface Tuning {
  readonly cpu: CpuTune;
  readonly memory: MemoryTune;
  readonly blkio: BlkioTune;
  readonly disks: readonly DiskDevice[];
  readonly interfaces: readonly InterfaceDevice[];
  /** vCPU number → CPU list of its `<vcpupin>`, as written there. */
  readonly pins: Readonly<Record<number, string>>;
}

/** What of the guest's hardware decides whether memory may be limited, and what QEMU needs beside the guest's own. */
export interface Hardware {
  readonly arch: string;
  /** The most memory that the guest can have without plugging more in: `<memory>`, plugged DIMMs included. */
  readonly memoryBytes: number;
  /** What the balloon leaves of it: `<currentMemory>`. */
  readonly currentMemoryBytes: number;
  /** `<memoryBacking><locked/>`: its pages cannot be reclaimed. */
  readonly locked: boolean;
  readonly hugepages: boolean;
  /** Devices of the host handed through by VFIO: all guest memory is pinned. */
  readonly vfio: boolean;
  readonly ioThreads: number;
  readonly videos: number;
  readonly tpm: boolean;
  /** `<launchSecurity>` */
  readonly encrypted: boolean;
  /** `<nosharepages/>`: KSM leaves it alone. */
  readonly unmerged: boolean;
  /** CPU list that all vCPUs without a pin may use (`<vcpu cpuset=…>`); null: every CPU. */
  readonly cpuset: string | null;
  /** A device whose other half is another process (vhost-user network, disk or GPU, virtiofs): absent where it is not known. */
  readonly vhostUser?: boolean;
  /** The guest was promised a TSC that never changes its rate, without that rate being fixed: QEMU does not save such a guest. */
  readonly invtsc?: boolean;
}

/** One `<seclabel>` of a domain. Labels are data of the host, never trusted text. */
export interface DomainSeclabel {
  /** `selinux`, `apparmor`, `dac`; null where the XML names none, which is the first that the host has. */
  readonly model: string | null;
  readonly type: 'dynamic' | 'static' | 'none';
  /** libvirt relabels the guest's images at its start. */
  readonly relabel: boolean;
  /** Of the process; in a definition only a static one. */
  readonly label: string | null;
  /** Of its images; in the live XML alone. */
  readonly imagelabel: string | null;
  /** From which a dynamic label is made. */
  readonly baselabel: string | null;
}

/** What one reading of a domain's XML says. */
export interface DomainFacts extends DomainAttributes {
  /** libvirt's id of the running instance; null when it does not run. */
  readonly id: number | null;
  readonly state: DomainState;
  readonly persistent: boolean;
  readonly vcpusOnline: number;
  readonly vcpusMax: number;
  readonly hardware: Hardware;
  /** Of the live XML. */
  readonly tuning: Tuning;
  /** The same from the persistent definition; null for a transient domain. */
  readonly definition: Tuning | null;
  /** Our own element of the live metadata (originals that travelled with the guest), as text; null if none. */
  readonly originalsXml: string | null;
  /** `<seclabel>` elements of the live XML; absent for a guest that libvirt does not run. */
  readonly seclabels?: readonly DomainSeclabel[];
  /** The same from the persistent definition; null for a transient domain. */
  readonly definitionSeclabels?: readonly DomainSeclabel[] | null;
  /** Its next start restores memory that libvirt saved; asked of a domain that does not run, false of one that does. */
  readonly managedSave?: boolean;
}

/** Kernel identity of a running domain's QEMU process. A reused pid has another start time. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat, clock ticks since boot. */
  readonly startTicks: bigint;
}

export type Controller = 'cpu' | 'memory' | 'io' | 'cpuset';

/** Where the domain's settings of one controller live in the cgroup tree. On v2 all controllers have the same groups. */
export interface ControllerGroup {
  readonly version: 1 | 2;
  /** Directory that holds `vcpuN` and `emulator`. */
  readonly domainDir: string;
  /** Directory whose weight counts among siblings: the systemd scope on nested layouts, else `domainDir`. */
  readonly weightDir: string;
  /** systemd manages `weightDir`: its files are set through libvirt or systemd (D-Bus), never written. */
  readonly systemdOwned: boolean;
  /** The groups above `weightDir`, nearest first, without the root: their limits bind the guest too. */
  readonly ancestors: readonly string[];
  /** Inode of `domainDir`: a recreated directory of the same name is another one. */
  readonly inode: bigint;
}

/**
 * Where a value is. A cgroup file by its full path and v2's name (on v1 that stands for v1's own file or files), with
 * `device` where one file has a line for each; `qemu:vda` for QEMU's throttle of a disk; `tap:vnet0/in` for what the
 * kernel's traffic control does on an interface.
 */
export interface Address {
  readonly path: string;
  /** `MAJOR:MINOR` */
  readonly device?: string;
}

/** A whole disk of the host. */
export interface HostDisk {
  /** `254:0` */
  readonly device: string;
  /** `vda` */
  readonly name: string;
  /** Who shares its time by weight; null when nobody does. */
  readonly weightsKeptBy: 'bfq' | 'iocost' | null;
}

/** What a virtual disk stands on: the whole disks behind partitions, LVM and dm. */
export type HostDevice =
  | { readonly ok: true; readonly disks: readonly HostDisk[]; readonly notes: readonly string[] }
  | { readonly ok: false; readonly reason: string };

/** What is known of the label of a guest, as the last audit left it. Texts from the host are data, never trusted. */
export interface DomainSecurity {
  readonly host: SecurityStatus;
  /** Of the running QEMU process, as the kernel gives it; null when it does not run, or cannot be read. */
  readonly process: string | null;
  /** Category pair that is its own by the register; null when none was assigned. */
  readonly pair: readonly [number, number] | null;
  /** Why it has none though its class asks for one; null when it has, or needs none. */
  readonly pairProblem: string | null;
  readonly violations: readonly Violation[];
  /** What is no violation and still worth saying: `vda: nfs has no labels`. */
  readonly notes: readonly string[];
}

export interface Domain {
  readonly uuid: string;
  readonly name: string;
  /** Who runs it: libvirt, or nobody that virtslad could ask (a QEMU process found in /proc). */
  readonly source: 'libvirt' | 'bare';
  readonly state: DomainState;
  /** libvirt's number of the running instance, by its list: known before the guest is described. */
  readonly id?: number | null;
  /** Null until libvirt has answered for it the first time. */
  readonly facts: DomainFacts | null;
  readonly process: ProcessIdentity | null;
  /** Its CPU groups; null when it has none of its own. */
  readonly cgroup: ControllerGroup | null;
  /** Its groups of the other controllers; one that is missing here is not on this host, or not the guest's own. */
  readonly groups: Readonly<Partial<Record<Exclude<Controller, 'cpu'>, ControllerGroup>>>;
  /** Why a controller has no group above, as far as that is known. */
  readonly reasons: Readonly<Partial<Record<Controller, string>>>;
  /** Why what is known of its hardware may not be all; empty where libvirt tells. */
  readonly gaps: readonly string[];
  /** Numbers of the `vcpuN` groups that exist now, ascending. */
  readonly vcpuGroups: readonly number[];
  /** vCPU number → thread id, where no group tells (bare QEMU with debug-threads); empty otherwise. */
  readonly vcpuThreads: ReadonlyMap<number, number>;
  /** Disk target → the host device behind it, as far as it was looked up. */
  readonly hostDevices: ReadonlyMap<string, HostDevice>;
  /** Null until the first audit of labels. */
  readonly security: DomainSecurity | null;
  /** Why a running domain cannot be acted on (no cgroup of its own, quarantined …); null when it can. */
  readonly obstacle: string | null;
}
