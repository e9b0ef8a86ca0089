/**
 * The disks and network interfaces on a QEMU command line: for people to see, not a record of what the guest has now.
 * Pure. Source: qemu(1), "Block device options" and "Network options".
 */
import { isOn, type Properties, parseProperties, type QemuOption, valuesOf } from './bare-options.js';

export interface BareDisk {
  /** Its id or node name where it has one, else `hda`, `virtio0` as QEMU counts. */
  readonly id: string;
  readonly kind: 'disk' | 'cdrom' | 'floppy';
  /** Path on the host, as QEMU's process sees it; null for network storage and an empty drive. */
  readonly path: string | null;
  /** `nbd`, `rbd` … for network storage; null for a file or block device and an empty drive. */
  readonly network: string | null;
  /** `none`, `writeback` …; null when not given. */
  readonly cache: string | null;
  readonly aio: string | null;
  readonly readOnly: boolean;
}

export interface BareInterface {
  /** Null when not given. */
  readonly id: string | null;
  /** `tap`, `bridge`, `user`, `vhost-user` … */
  readonly type: string;
  /** The device on the host, when the command line names it. */
  readonly device: string | null;
  /** Null when QEMU chose one. */
  readonly mac: string | null;
}

const DISKS_MAX = 1000;
const INTERFACES_MAX = 1000;
const TEXT_MAX = 4096;

/** `-drive`, `-hda` … `-cdrom`, and the files below `-blockdev`. */
export function disksOf(options: readonly QemuOption[], devices: readonly Properties[]): BareDisk[] {
  const disks: BareDisk[] = [];
  const counts = new Map<string, number>();
  const readOnlyCdroms = new Set(
    devices.filter((device) => /-cd$/.test(device.get('driver') ?? '')).map((device) => device.get('drive')),
  );
  for (const { name, value } of options) {
    if (disks.length >= DISKS_MAX) break;
    const plain = PLAIN_DRIVES.get(name);
    if (plain !== undefined) disks.push({ ...plain, ...sourceOf(value), id: name, cache: null, aio: null });
    else if (name === 'drive') disks.push(ofDrive(parseProperties(value, 'file'), counts, readOnlyCdroms));
    else if (name === 'blockdev') {
      const disk = ofBlockdev(parseProperties(value, 'driver'));
      if (disk !== null) disks.push(disk);
    }
  }
  return disks;
}

const PLAIN_DRIVES = new Map<string, Pick<BareDisk, 'kind' | 'readOnly'>>([
  ...['hda', 'hdb', 'hdc', 'hdd', 'sd', 'mtdblock'].map((name) => [name, { kind: 'disk', readOnly: false }] as const),
  ...['fda', 'fdb'].map((name) => [name, { kind: 'floppy', readOnly: false }] as const),
  ['cdrom', { kind: 'cdrom', readOnly: true }],
]);

function ofDrive(drive: Properties, counts: Map<string, number>, cdroms: ReadonlySet<string | undefined>): BareDisk {
  const bus = drive.get('if') ?? 'ide';
  const count = counts.get(bus) ?? 0;
  counts.set(bus, count + 1);
  const cdrom = drive.get('media') === 'cdrom' || cdroms.has(drive.get('id'));
  return {
    id: short(drive.get('id') ?? `${bus}${count}`),
    kind: bus === 'floppy' ? 'floppy' : cdrom ? 'cdrom' : 'disk',
    ...sourceOf(drive.get('file') ?? drive.get('file.filename') ?? ''),
    cache: orNull(drive.get('cache') ?? (isOn(drive.get('cache.direct')) ? 'none' : undefined)),
    aio: orNull(drive.get('aio')),
    readOnly: cdrom || isOn(drive.get('readonly') ?? drive.get('read-only')),
  };
}

/** Only the node that has a file of its own, or says how to get at one elsewhere; the others lie above such a node. */
function ofBlockdev(node: Properties): BareDisk | null {
  const nested = node.has('file.driver');
  const driver = node.get(nested ? 'file.driver' : 'driver') ?? '';
  const filename = node.get(nested ? 'file.filename' : 'filename');
  if (filename === undefined && !NETWORK_DRIVERS.test(driver)) return null;
  const direct = node.get('cache.direct') ?? node.get('file.cache.direct');
  return {
    id: short(node.get('node-name') ?? ''),
    kind: driver === 'host_cdrom' ? 'cdrom' : 'disk',
    path: filename === undefined ? null : short(filename),
    network: filename === undefined ? driver : null,
    cache: direct === undefined ? null : isOn(direct) ? 'none' : 'writeback',
    aio: orNull(node.get('aio') ?? node.get('file.aio')),
    readOnly: isOn(node.get('read-only')),
  };
}

const NETWORK_DRIVERS = /^(?:nbd|rbd|iscsi|gluster|nfs|ssh|https?|ftps?|nvme|vxhs|sheepdog|virtio-blk-)/;

/** `rbd:pool/image` is no path, `file:/image` and `./a:b` are. */
function sourceOf(file: string): Pick<BareDisk, 'path' | 'network'> {
  const protocol = /^([a-z][a-z\d+.-]*):/.exec(file)?.[1];
  if (protocol === 'file') return { path: short(file.slice('file:'.length).replace(/^\/\/(?=\/)/, '')), network: null };
  if (protocol !== undefined) return { path: null, network: protocol };
  return { path: file === '' ? null : short(file), network: null };
}

/** `-netdev`, `-nic` and `-net`; the MAC is that of the device which uses the back end. */
export function interfacesOf(options: readonly QemuOption[], devices: readonly Properties[]): BareInterface[] {
  const macs = new Map(devices.map((device) => [device.get('netdev'), device.get('mac')] as const));
  return [
    ...valuesOf(options, 'netdev', 'nic').map((text) => parseProperties(text, 'type')),
    ...valuesOf(options, 'net').map((text) => parseProperties(text, 'type')),
  ]
    .filter((netdev) => !['nic', 'none', undefined].includes(netdev.get('type')))
    .slice(0, INTERFACES_MAX)
    .map((netdev) => {
      const id = netdev.get('id');
      return {
        id: orNull(id),
        type: short(netdev.get('type') ?? ''),
        device: deviceName(netdev.get('ifname')),
        mac: orNull(netdev.get('mac') ?? (id === undefined ? undefined : macs.get(id))),
      };
    });
}

/** IFNAMSIZ, and what the kernel's dev_valid_name refuses. */
function deviceName(name: string | undefined): string | null {
  return name !== undefined && /^[^\s/:%]{1,15}$/.test(name) && name !== '.' && name !== '..' ? name : null;
}

function orNull(text: string | undefined): string | null {
  return text === undefined ? null : short(text);
}

function short(text: string): string {
  return text.slice(0, TEXT_MAX);
}
