/**
 * disk.limit: hard ceiling of throughput and operations. Through QEMU's throttle groups it binds each virtual disk, sums
 * and bursts included; through the cgroup it binds each host device for the whole guest.
 * Sources: formatdomain.html (`<iotune>`), util/throttle.c of QEMU, virDomainSetBlockIoTune; cgroup-v2.rst (io.max), v1:
 * blkio-controller.rst (blkio.throttle.*), virDomainSetBlkioParameters.
 */
import { join } from 'node:path';
import type { Domain } from '../domains/types.js';
import type { BlkioParameters, TuneCall } from '../host/libvirt/client.js';
import { formatDiskThrottle, parseDiskThrottle } from '../text/disk-throttle.js';
import { formatIoMax, NO_IO_LIMIT, parseIoMax } from '../text/io-max.js';
import type { Amount, Control, Desired, Original, Place, Setting } from './control.js';
import { told } from './control.js';
import {
  type AskedLimits,
  askedLimits,
  beyondIoMax,
  DISK_METRICS,
  figuresOf,
  ioMaxWords,
  throttleFromIoMax,
  throttleWords,
  tooMuch,
} from './disk-amounts.js';
import { DISK_LIMIT_KEYS } from './disk-keys.js';
import { ioMaxBeneath, ioMaxOver, throttleBeneath, throttleOver } from './disk-merge.js';
import { type DiskWay, type Via, wayOf } from './disk-ways.js';

const THROTTLE = '/throttle';
const IO_MAX = 'io.max/';

export const diskLimit: Control = {
  id: 'disk.limit',
  scope: 'domain',
  built: true,
  summary: 'Hard ceiling of throughput and operations of each virtual disk',
  keys: DISK_LIMIT_KEYS,
  metrics: DISK_METRICS,
  tellsApart: true,
  merges: true,

  desired(wanted, domain, _host, sight): Desired {
    const limits = askedLimits(wanted);
    if (limits === null) return { kind: 'unmanaged' };
    const { asked, askedKey } = limits;
    const via = (wanted.values.get('disk.via')?.value as Via | undefined) ?? 'auto';
    const disks = domain.facts?.tuning.disks ?? [];
    const excess = tooMuch(limits);
    if (excess !== null) return { kind: 'refused', reason: excess, asked, askedKey };
    const ways = disks.map((disk) => ({ disk, ...wayOf(disk, via, beyondIoMax(limits), domain, sight) }));
    const settings = new Map<string, Setting>();
    for (const one of ways) {
      for (const key of keysOf(one.disk.target, one)) {
        const place = placeOf(key, domain);
        const standing = place === null ? null : sight.read(place);
        if (place !== null) settings.set(key, { ...place, key, text: textOver(standing, key, limits) });
      }
    }
    const notes = [...new Set(ways.flatMap((one) => wayNotes(one.disk.target, one)))];
    if (settings.size === 0) {
      const reason = notes.join('; ') || 'it has no disks';
      // Limits of another class, or of another way, are not left in the place of these.
      const passing = ways.some((one) => one.way === 'none' && one.yet === true);
      return { kind: 'unsupported', reason, asked, askedKey, ...(!passing && { giveBack: true }) };
    }
    const all = [...settings.values()];
    return {
      kind: 'set',
      asked,
      askedKey,
      amounts: all.flatMap(({ key, text }) => figures(key, text, limits, domain)),
      display: describe(new Map(all.map(({ key, text }) => [key, text])), domain),
      settings: all,
      notes,
    };
  },

  place: (key, domain) => (isThere(key, domain) ? placeOf(key, domain) : null),

  amountsOf: (texts, domain) =>
    [...texts].flatMap(([key, text]) => (text === null ? [] : figures(key, text, null, domain))),

  displayOf: describe,

  beneath: (key, ...texts) => (targetOf(key) === null ? ioMaxBeneath(...texts) : throttleBeneath(...texts)),

  fromXml(key, { disks, blkio }, domain): Original {
    const target = targetOf(key);
    if (target !== null) {
      const text = formatDiskThrottle(
        disks.find((disk) => disk.target === target)?.throttle ?? { fields: {}, group: null },
      );
      return { text, from: text === 'none' ? 'default' : 'xml' };
    }
    const path = devicePath(key.slice(IO_MAX.length), domain);
    const device = blkio.devices.find((one) => one.path === path);
    if (device === undefined) return { text: NO_IO_LIMIT, from: 'default' };
    const or = (amount: number | undefined) => (amount === undefined || amount === 0 ? null : amount);
    const text = formatIoMax({
      readBytes: or(device.readBytesPerSecond),
      writeBytes: or(device.writeBytesPerSecond),
      readOperations: or(device.readOperationsPerSecond),
      writeOperations: or(device.writeOperationsPerSecond),
    });
    return { text, from: 'xml' };
  },

  tellFor(texts, domain) {
    if (domain.source !== 'libvirt') return null;
    const calls = [...texts].flatMap(([key, text]) => callsFor(key, text, domain));
    return calls.length === 0 ? null : told(calls);
  },
};

function keysOf(target: string, way: DiskWay): readonly string[] {
  if (way.way === 'qemu') return [`${target}${THROTTLE}`];
  return way.way === 'cgroup' ? way.disks.map(({ device }) => `${IO_MAX}${device}`) : [];
}

function targetOf(key: string): string | null {
  return key.endsWith(THROTTLE) ? key.slice(0, -THROTTLE.length) : null;
}

function placeOf(key: string, { groups }: Domain): Place | null {
  const target = targetOf(key);
  if (target !== null) return { path: `qemu:${target}`, writer: 'libvirt', depth: 1 };
  if (!key.startsWith(IO_MAX) || groups.io === undefined) return null;
  const { domainDir, weightDir, systemdOwned } = groups.io;
  const writer = systemdOwned && domainDir === weightDir ? 'libvirt' : 'direct';
  return { path: join(domainDir, 'io.max'), device: key.slice(IO_MAX.length), writer, depth: 1 };
}

function isThere(key: string, domain: Domain): boolean {
  const target = targetOf(key);
  return target === null || (domain.facts?.tuning.disks ?? []).some((disk) => disk.target === target && !disk.empty);
}

function textOver(standing: string | null, key: string, limits: AskedLimits): string {
  return targetOf(key) === null
    ? formatIoMax(ioMaxOver(standing === null ? null : parseIoMax(standing), limits))
    : formatDiskThrottle(throttleOver(standing === null ? null : parseDiskThrottle(standing), limits));
}

function wayNotes(target: string, way: DiskWay): string[] {
  if (way.way === 'none') return [`${target}: not limited: ${way.why}`];
  if (way.way === 'qemu') return [`${target}: through QEMU, ${way.why}`];
  const on = way.disks.map(({ device, name }) => `${name} (${device})`).join(', ');
  return [
    `${target}: through the cgroup on ${on}, for all disks of the guest there together: ${way.why}`,
    ...way.notes,
  ];
}

function figures(key: string, text: string, limits: AskedLimits | null, domain: Domain): Amount[] {
  const ioMax = targetOf(key) === null ? parseIoMax(text) : null;
  const throttle = ioMax === null ? parseDiskThrottle(text) : throttleFromIoMax(ioMax);
  return throttle === null ? [] : figuresOf(throttle, diskOf(key, domain), limits);
}

/** The guest's own disk `vda`, or the host's `/dev/vda`. */
function diskOf(key: string, domain: Domain): string {
  const device = key.slice(IO_MAX.length);
  return targetOf(key) ?? devicePath(device, domain) ?? device;
}

/** `vda, vdb: read 400MiB/s`, disks with the same words together. */
function describe(texts: ReadonlyMap<string, string | null>, domain: Domain): string {
  const alike = new Map<string, string[]>();
  for (const [key, text] of texts) {
    const words = wordsOf(key, text);
    const name = diskOf(key, domain);
    alike.set(words, [...(alike.get(words) ?? []), name]);
  }
  return [...alike].map(([words, names]) => `${names.join(', ')}: ${words}`).join('; ');
}

function wordsOf(key: string, text: string | null): string {
  if (text === null) return 'not known yet';
  const [throttle, ioMax] = targetOf(key) === null ? [null, parseIoMax(text)] : [parseDiskThrottle(text), null];
  if (throttle !== null) return throttleWords(throttle);
  return ioMax === null ? 'unreadable' : ioMaxWords(ioMax);
}

function callsFor(key: string, text: string, domain: Domain): TuneCall[] {
  const disk = targetOf(key);
  if (disk !== null) {
    const throttle = parseDiskThrottle(text);
    return throttle === null ? [] : [{ call: 'throttle', disk, throttle }];
  }
  const path = devicePath(key.slice(IO_MAX.length), domain);
  const limits = parseIoMax(text);
  if (path === null || limits === null) return [];
  const at = (amount: number | null) => `${path},${amount ?? 0}`;
  const parameters: BlkioParameters = {
    device_read_bytes_sec: at(limits.readBytes),
    device_write_bytes_sec: at(limits.writeBytes),
    device_read_iops_sec: at(limits.readOperations),
    device_write_iops_sec: at(limits.writeOperations),
  };
  return [{ call: 'blkio', parameters }];
}

/** libvirt knows devices by their nodes. */
function devicePath(device: string, { hostDevices }: Domain): string | null {
  for (const host of hostDevices.values()) {
    const disk = host.ok ? host.disks.find((one) => one.device === device) : undefined;
    if (disk !== undefined) return `/dev/${disk.name}`;
  }
  return null;
}
