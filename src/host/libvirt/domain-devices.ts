/**
 * Disks and network interfaces: takes a parsed `<devices>`, gives what of them can be tuned. Pure.
 * Only an element's own children count: a disk's `<backingStore>` and `<mirror>` have a `<source>` of their own.
 * Format: https://libvirt.org/formatdomain.html, "Hard drives, floppy disks, CDROMs" and "Network interfaces".
 */
import {
  type Bandwidth,
  type DiskDevice,
  type DiskThrottle,
  type InterfaceDevice,
  THROTTLE_FIELDS,
  type ThrottleField,
} from '../../domains/types.js';
import { attribute, child, childInteger, children, childText, integer, type XmlNode } from './xml-tree.js';

const DISK_DEVICES = ['disk', 'cdrom', 'floppy', 'lun'] as const;

/** Sources on this host, and the attribute of `<source>` that has the path. */
const PATH_ATTRIBUTES: ReadonlyMap<string, string> = new Map([
  ['file', 'file'],
  ['block', 'dev'],
]);

/** In the order of the XML. One without a target is left out, and so is a second one with the same target. */
export function readDisks(devices: XmlNode | undefined): DiskDevice[] {
  const disks = new Map<string, DiskDevice>();
  for (const element of children(devices, 'disk')) {
    const target = attribute(child(element, 'target'), 'dev') ?? '';
    if (target !== '' && !disks.has(target)) disks.set(target, disk(target, element));
  }
  return [...disks.values()];
}

function disk(target: string, element: XmlNode): DiskDevice {
  const device = attribute(element, 'device');
  const sourceType = attribute(element, 'type') ?? 'file';
  const pathAttribute = PATH_ATTRIBUTES.get(sourceType);
  const source = child(element, 'source');
  const path = pathAttribute === undefined ? null : attribute(source, pathAttribute) || null;
  return {
    target,
    device: DISK_DEVICES.find((known) => known === device) ?? 'disk',
    sourceType,
    path,
    // A `<source>` may be there without a path, to say what happens when the file is missing at the start.
    empty: pathAttribute === undefined ? source === undefined : path === null,
    cache: attribute(child(element, 'driver'), 'cache') ?? null,
    readOnly: child(element, 'readonly') !== undefined,
    throttle: throttle(child(element, 'iotune')),
    ...(child(element, 'shareable') !== undefined && { shareable: true }),
    ...(isUnlabelled(source) && { unlabelled: true }),
    ...backingOf(element),
  };
}

/** `<seclabel relabel='no'>` is somebody's wish; `labelskip='yes'` is what libvirt found at the start (NFS). */
function isUnlabelled(source: XmlNode | undefined): boolean {
  return children(source, 'seclabel').some(
    (label) =>
      ['selinux', undefined].includes(attribute(label, 'model')) &&
      (attribute(label, 'relabel') === 'no' || attribute(label, 'labelskip') === 'yes'),
  );
}

/** Images below one another are elements within one another; an empty one ends the chain. */
function backingOf(disk: XmlNode): Pick<DiskDevice, 'backing'> {
  const backing: string[] = [];
  for (let below = child(disk, 'backingStore'); below !== undefined; below = child(below, 'backingStore')) {
    const pathAttribute = PATH_ATTRIBUTES.get(attribute(below, 'type') ?? '');
    const path = pathAttribute === undefined ? undefined : attribute(child(below, 'source'), pathAttribute);
    if (path !== undefined && path !== '') backing.push(path);
  }
  return backing.length === 0 ? {} : { backing };
}

function throttle(iotune: XmlNode | undefined): DiskThrottle {
  const fields: Partial<Record<ThrottleField, number>> = {};
  for (const name of iotune === undefined ? [] : THROTTLE_FIELDS) {
    const value = childInteger(iotune, name);
    if (value !== undefined && value > 0) fields[name] = value;
  }
  return { fields, group: childText(iotune, 'group_name') || null };
}

/** In the order of the XML. */
export function readInterfaces(devices: XmlNode | undefined): InterfaceDevice[] {
  return children(devices, 'interface').map((element) => {
    const bandwidth = child(element, 'bandwidth');
    return {
      mac: (attribute(child(element, 'mac'), 'address') ?? '').toLowerCase(),
      type: attribute(element, 'type') ?? '',
      device: attribute(child(element, 'target'), 'dev') || null,
      inbound: rate(child(bandwidth, 'inbound')),
      outbound: rate(child(bandwidth, 'outbound')),
    };
  });
}

function rate(element: XmlNode | undefined): Bandwidth | null {
  const value = (name: string) => {
    const found = integer(attribute(element, name));
    return found !== undefined && found > 0 ? found : undefined;
  };
  const average = value('average');
  const peak = value('peak');
  const burst = value('burst');
  const floor = value('floor');
  // libvirt takes one of the two for what makes a limit.
  if (average === undefined && floor === undefined) return null;
  return {
    averageKbytes: average ?? 0,
    ...(peak !== undefined && { peakKbytes: peak }),
    ...(burst !== undefined && { burstKbytes: burst }),
    ...(floor !== undefined && { floorKbytes: floor }),
  };
}
