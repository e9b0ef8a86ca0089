/**
 * What a QEMU command line says of its guest: name, uuid, vCPUs, memory and what pins it. Pure. It is the claim of whoever
 * started the process, true when it started: what was plugged or changed through QEMU's monitor since is not in it.
 * Source: qemu(1), hw/core/machine-smp.c, softmmu/vl.c.
 */
import { createHash } from 'node:crypto';
import { type BareDisk, type BareInterface, disksOf, interfacesOf } from './bare-devices.js';
import { has, isOn, merged, type Properties, parseOptions, parseProperties, valuesOf } from './bare-options.js';
import { parseQemuSize } from './bare-sizes.js';

export interface BareCommand {
  /** `-name`; null when not given. Anything may be in it. */
  readonly name: string | null;
  /** `-uuid`, or that of `-smbios type=1`, which QEMU takes too; lower case; null when not given, not valid or all zeros. */
  readonly uuid: string | null;
  readonly vcpus: number;
  /** With those that may be plugged. */
  readonly vcpusMax: number;
  readonly memoryBytes: number;
  /** With what may be plugged. */
  readonly memoryMaxBytes: number;
  /** Files behind guest memory: huge pages when a hugetlbfs holds them. */
  readonly memoryPaths: readonly string[];
  /** Huge pages without a file system (memory-backend-memfd). */
  readonly hugetlb: boolean;
  readonly locked: boolean;
  /** Devices of the host handed through by VFIO or vDPA, NVMe disks among them: they pin all guest memory. */
  readonly vfio: boolean;
  /** KSM is told to leave it alone. */
  readonly unmerged: boolean;
  readonly encrypted: boolean;
  readonly tpm: boolean;
  readonly ioThreads: number;
  readonly videos: number;
  /** `-S`: it waits to be told to run. Whether it was told cannot be seen. */
  readonly startsPaused: boolean;
  /** It receives a migration; whether that is over cannot be seen. */
  readonly incoming: boolean;
  readonly daemonizes: boolean;
  readonly disks: readonly BareDisk[];
  readonly interfaces: readonly BareInterface[];
  /** Why the command line does not say everything (`-readconfig` …); empty when it does. */
  readonly gaps: readonly string[];
  /** The same command line, word by word, has the same. */
  readonly digest: string;
}

const UUID = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/;
const NIL_UUID = '00000000-0000-0000-0000-000000000000';
export const NAME_LENGTH_MAX = 1024;
const VCPUS_MAX = 4096;
/** QEMU's own default, of nearly all machines. */
const DEFAULT_MEMORY_BYTES = 128 * 2 ** 20;
const MIB = 2 ** 20;

/** `cut`: the end of the command line is missing. */
export function parseCommand(argv: readonly string[], cut = false, options = parseOptions(argv)): BareCommand {
  const machine = merged(valuesOf(options, 'machine', 'M'), 'type');
  const objects = valuesOf(options, 'object').map((text) => parseProperties(text, 'qom-type'));
  const devices = valuesOf(options, 'device').map((text) => parseProperties(text, 'driver'));
  const disks = disksOf(options, devices);
  const interfaces = interfacesOf(options, devices);
  const backends = objects.filter((object) => object.get('qom-type')?.startsWith('memory-backend-'));
  const drivers = devices.map((device) => device.get('driver') ?? '');
  return {
    name: nameOf(valuesOf(options, 'name')),
    uuid: uuidOf(options),
    ...vcpusOf(merged(valuesOf(options, 'smp'), 'cpus'), machine),
    ...memoryOf(merged(valuesOf(options, 'm'), 'size'), machine),
    memoryPaths: [...valuesOf(options, 'mem-path'), ...backends.flatMap((backend) => backend.get('mem-path') ?? [])],
    hugetlb: backends.some((backend) => isOn(backend.get('hugetlb'))),
    locked:
      /^on/.test(merged(valuesOf(options, 'overcommit'), null).get('mem-lock') ?? '') ||
      valuesOf(options, 'realtime').some((text) => parseProperties(text, null).get('mlock') !== 'off'),
    vfio:
      drivers.some((driver) => /^(?:vfio-|vhost-vdpa)/.test(driver)) ||
      interfaces.some(({ type }) => type === 'vhost-vdpa') ||
      disks.some(({ network }) => network === 'nvme' || network === 'virtio-blk-vhost-vdpa'),
    unmerged: machine.get('mem-merge') === 'off' || backends.some((backend) => backend.get('merge') === 'off'),
    encrypted: ['confidential-guest-support', 'memory-encryption'].some((key) => machine.has(key)),
    tpm: valuesOf(options, 'tpmdev').some((text) => parseProperties(text, 'type').get('type') === 'emulator'),
    ioThreads: objects.filter((object) => object.get('qom-type') === 'iothread').length,
    videos: videosOf(options, drivers),
    startsPaused: has(options, 'S'),
    incoming: has(options, 'incoming'),
    daemonizes: has(options, 'daemonize'),
    disks,
    interfaces,
    gaps: [
      ...(cut ? ['its command line is too long to be read wholly'] : []),
      ...(has(options, 'readconfig') ? ['part of its configuration is in a file (-readconfig)'] : []),
      ...(has(options, 'preconfig') ? ['it is configured through its monitor (-preconfig)'] : []),
    ],
    digest: createHash('sha256').update(argv.join('\0')).digest('hex'),
  };
}

function nameOf(values: readonly string[]): string | null {
  const name = merged(values, 'guest').get('guest') ?? '';
  return name === '' ? null : name.slice(0, NAME_LENGTH_MAX).toWellFormed();
}

function uuidOf(options: ReturnType<typeof parseOptions>): string | null {
  const smbios = valuesOf(options, 'smbios').map((text) => parseProperties(text, 'type'));
  const ofSystem = smbios.filter((table) => table.get('type') === '1').flatMap((table) => table.get('uuid') ?? []);
  const uuid = (valuesOf(options, 'uuid').at(-1) ?? ofSystem.at(-1))?.toLowerCase();
  return uuid !== undefined && UUID.test(uuid) && uuid !== NIL_UUID ? uuid : null;
}

/** What is left out of the topology is 1; without `cpus` all that there may be are plugged in. */
function vcpusOf(smp: Properties, machine: Properties): Pick<BareCommand, 'vcpus' | 'vcpusMax'> {
  const value = (key: string): number | null => {
    const text = smp.get(key) ?? machine.get(`smp.${key}`) ?? '';
    return /^[1-9]\d{0,5}$/.test(text) ? Math.min(Number(text), VCPUS_MAX) : null;
  };
  const parts = ['drawers', 'books', 'sockets', 'dies', 'clusters', 'modules', 'cores', 'threads'];
  const topology = parts.reduce((product, key) => product * (value(key) ?? 1), 1);
  const cpus = value('cpus');
  const vcpusMax = Math.min(value('maxcpus') ?? Math.max(cpus ?? 1, topology), VCPUS_MAX);
  return { vcpus: cpus ?? vcpusMax, vcpusMax: Math.max(cpus ?? 1, vcpusMax) };
}

/** A bare number is MiB for `size` and bytes for `maxmem`. */
function memoryOf(memory: Properties, machine: Properties): Pick<BareCommand, 'memoryBytes' | 'memoryMaxBytes'> {
  const size = parseQemuSize(memory.get('size') ?? '', MIB) ?? parseQemuSize(machine.get('memory.size') ?? '', 1);
  const most = parseQemuSize(memory.get('maxmem') ?? machine.get('memory.max-size') ?? '', 1);
  const memoryBytes = size === null || size === 0 ? DEFAULT_MEMORY_BYTES : size;
  return { memoryBytes, memoryMaxBytes: Math.max(memoryBytes, most ?? 0) };
}

/** A machine has a display adapter unless it was told to have none. */
function videosOf(options: ReturnType<typeof parseOptions>, drivers: readonly string[]): number {
  const added = drivers.filter((driver) => /vga|qxl|virtio-gpu|bochs-display|ramfb/i.test(driver)).length;
  const vga = valuesOf(options, 'vga').at(-1) ?? (has(options, 'nodefaults') || added > 0 ? 'none' : 'std');
  return added + (vga === 'none' ? 0 : 1);
}
