/**
 * What a test guest is made of, and the domain XML for it. Without options: 16 MiB, one vCPU, one disk, no network, no
 * USB, no balloon; about 35 MiB of QEMU and no threads that stir. Elements: libvirt's formatdomain.
 */
import type { BootProgram } from './boot-sector.js';

export interface GuestOptions {
  readonly name: string;
  readonly uuid?: string;
  /** Default 1. */
  readonly vcpus?: number;
  /** Room for vCPUs to be plugged in; default: as many as there are. */
  readonly maxVcpus?: number;
  /** Burn CPU on every vCPU (default), or halt. */
  readonly burn?: boolean;
  /** What it does instead of that. */
  readonly program?: BootProgram;
  /** The disk that it boots from; default: 1 MiB on virtio as `vda`. Its path is the guest's own. */
  readonly bootDisk?: Omit<GuestDisk, 'path' | 'isBlockDevice' | 'cdrom' | 'target'> & { readonly bytes?: number };
  /** Further disks, in the order in which the BIOS numbers them. */
  readonly disks?: readonly GuestDisk[];
  readonly interfaces?: readonly GuestInterface[];
  /** Default 16. */
  readonly memoryMebibytes?: number;
  /** Default `pc`. */
  readonly machine?: 'pc' | 'q35';
  /** A virtio balloon, which nothing in the guest drives; default: none. */
  readonly balloon?: boolean;
  /** CPU list that all vCPU threads are bound to. */
  readonly cpuset?: string;
  /** A whole `<cputune>` element. */
  readonly cputuneXml?: string;
  /** A whole `<metadata>` element. */
  readonly metadataXml?: string;
  /** Whole elements below `<domain>`: `<memtune>`, `<blkiotune>`, `<memoryBacking>`, `<resource>`. */
  readonly tuningXml?: string;
  /** Whole elements below `<devices>`. */
  readonly devicesXml?: string;
  readonly title?: string;
  /** Transient (default), or defined and then started. */
  readonly persistent?: boolean;
}

export interface GuestDisk {
  /** On the host, readable for libvirt's QEMU user; null: a drive without a medium. */
  readonly path: string | null;
  /** A block device and not an image file. */
  readonly isBlockDevice?: boolean;
  readonly cdrom?: boolean;
  /** Default virtio; CD-ROMs are on ide. */
  readonly bus?: 'virtio' | 'ide' | 'scsi';
  /** Default: the next free of its bus, `vdb`, `sda`, `hda`. */
  readonly target?: string;
  /** Default: libvirt's. Only `none` and `directsync` bypass the host's page cache. */
  readonly cache?: 'none' | 'directsync' | 'writethrough' | 'writeback' | 'unsafe';
  readonly readOnly?: boolean;
  /** A whole `<iotune>` element. */
  readonly iotuneXml?: string;
}

export interface GuestInterface {
  /** A tap of libvirt's own making with nothing behind it, a tap in this bridge, or QEMU's user-mode network. */
  readonly source: 'ethernet' | 'user' | { readonly bridge: string };
  /** Default `ne2k_pci`, which reads its tap without a driver in the guest. */
  readonly model?: 'ne2k_pci' | 'rtl8139' | 'virtio' | 'e1000';
  /** Default: libvirt makes one. */
  readonly mac?: string;
  /** Name of the tap on the host, at most 15 bytes; default `vnetN`. */
  readonly tap?: string;
  /** A whole `<bandwidth>` element. */
  readonly bandwidthXml?: string;
}

export interface GuestIdentity {
  readonly name: string;
  readonly uuid: string;
  readonly vcpus: number;
}

const TARGET_PREFIX = { virtio: 'vd', ide: 'hd', scsi: 'sd' } as const;

export function domainXml({ name, uuid, vcpus }: GuestIdentity, imagePath: string, options: GuestOptions): string {
  const { memoryMebibytes = 16, maxVcpus = vcpus, machine = 'pc', disks = [], interfaces = [] } = options;
  const cpuset = options.cpuset === undefined ? '' : ` cpuset='${options.cpuset}'`;
  const current = maxVcpus === vcpus ? '' : ` current='${vcpus}'`;
  const balloon = options.balloon === true ? 'virtio' : 'none';
  return `<domain type='qemu'>
  <name>${escapeXml(name)}</name>
  <uuid>${uuid}</uuid>
  ${options.title === undefined ? '' : `<title>${escapeXml(options.title)}</title>`}
  ${options.metadataXml ?? ''}
  <memory unit='MiB'>${memoryMebibytes}</memory>
  <vcpu placement='static'${cpuset}${current}>${maxVcpus}</vcpu>
  ${options.cputuneXml ?? ''}
  ${options.tuningXml ?? ''}
  <os><type arch='x86_64' machine='${machine}'>hvm</type></os>
  <features><acpi/><apic/></features>
  <devices>
    ${namedDisks([{ ...options.bootDisk, path: imagePath }, ...disks])
      .map((disk, index) => diskXml(disk, disks.length > 0 && disk.path !== null ? index + 1 : null))
      .join('\n    ')}
    ${interfaces.map(interfaceXml).join('\n    ')}
    ${options.devicesXml ?? ''}
    <controller type='usb' model='none'/>
    <memballoon model='${balloon}'/>
  </devices>
</domain>
`;
}

export type NamedDisk = GuestDisk & { readonly target: string };

/** Gives each disk without a target the next free one of its bus. */
function namedDisks(disks: readonly GuestDisk[]): NamedDisk[] {
  const taken = new Set(disks.flatMap(({ target }) => target ?? []));
  return disks.map((disk) => {
    if (disk.target !== undefined) return { ...disk, target: disk.target };
    const prefix = TARGET_PREFIX[busOf(disk)];
    const letter = [...'abcdefghijklmnopqrstuvwxyz'].find((each) => !taken.has(prefix + each));
    if (letter === undefined) throw new Error(`no target ${prefix}… is left`);
    taken.add(prefix + letter);
    return { ...disk, target: prefix + letter };
  });
}

function busOf({ bus, cdrom }: GuestDisk): keyof typeof TARGET_PREFIX {
  return bus ?? (cdrom === true ? 'ide' : 'virtio');
}

/** The BIOS knows only disks with a place in the boot order; it is libvirt's own business when there is one disk alone. */
export function diskXml(disk: NamedDisk, bootOrder: number | null = null): string {
  const cache = disk.cache === undefined ? '' : ` cache='${disk.cache}'`;
  const [type, attribute] = disk.isBlockDevice === true ? ['block', 'dev'] : ['file', 'file'];
  return `<disk type='${type}' device='${disk.cdrom === true ? 'cdrom' : 'disk'}'>
      <driver name='qemu' type='raw'${cache}/>
      ${disk.path === null ? '' : `<source ${attribute}='${escapeXml(disk.path)}'/>`}
      <target dev='${disk.target}' bus='${busOf(disk)}'/>
      ${bootOrder === null ? '' : `<boot order='${bootOrder}'/>`}
      ${disk.iotuneXml ?? ''}
      ${disk.readOnly === true || disk.cdrom === true ? '<readonly/>' : ''}
    </disk>`;
}

/** No boot ROM: the BIOS would start it and wait for a DHCP server. */
export function interfaceXml({ source, model = 'ne2k_pci', mac, tap, bandwidthXml }: GuestInterface): string {
  const type = typeof source === 'string' ? source : 'bridge';
  return `<interface type='${type}'>
      ${mac === undefined ? '' : `<mac address='${mac}'/>`}
      ${typeof source === 'string' ? '' : `<source bridge='${source.bridge}'/>`}
      ${tap === undefined ? '' : `<target dev='${tap}'/>`}
      <model type='${model}'/>
      ${bandwidthXml ?? ''}
      <rom enabled='no'/>
    </interface>`;
}

function escapeXml(text: string): string {
  return text.replace(/[<>&'"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
