/**
 * disk.weight: the guest's share of a disk's time when others want it too, on the scale of cgroup v2's io.weight (1–10000,
 * 100 normal). Nothing keeps weights unless the disk's scheduler is BFQ or the io cost controller is on for it.
 * Sources: cgroup-v2.rst (io.weight), bfq-iosched.rst, virDomainSetBlkioParameters (weight: libvirt converts nothing).
 */
import { basename, join } from 'node:path';
import type { Domain } from '../domains/types.js';
import { diskWeight as schema } from '../policy/value-types.js';
import { type Amount, type Control, type Desired, type Place, told } from './control.js';

const FILE = 'io.weight';
const NORMAL_WEIGHT = 100;

export const diskWeight: Control = {
  id: 'disk.weight',
  scope: 'domain',
  built: true,
  summary: 'Share of disk time under contention',
  keys: [
    {
      key: 'disk.weight',
      schema,
      summary: 'Share of disk time under contention; 100 is normal',
      unit: 'cgroup v2 io.weight',
      range: '1–10000',
      example: '400',
    },
  ],
  metrics: [{ name: 'disk_weight', help: 'Disk weight on the scale of cgroup v2, 100 normal', labels: [] }],

  desired(wanted, domain, _host, { exists }): Desired {
    const asked = wanted.values.get('disk.weight');
    if (asked === undefined) return { kind: 'unmanaged' };
    const unsupported = (reason: string): Desired => ({ kind: 'unsupported', reason, asked });
    const place = placeOf(domain);
    if (place === null) return unsupported(domain.reasons.io ?? 'it has no I/O cgroup of its own');
    if (!exists(place)) return unsupported('this kernel has no disk weights for groups');
    const disks = [...domain.hostDevices.values()].flatMap((device) => (device.ok ? device.disks : []));
    const keepers = new Set(disks.flatMap(({ weightsKeptBy }) => weightsKeptBy ?? []));
    if (keepers.size === 0) {
      const names = [...new Set(disks.map(({ name }) => name))].join(', ') || 'its disks';
      return unsupported(
        `nothing keeps weights on ${names}: neither the BFQ scheduler nor the io cost controller is on`,
      );
    }
    const weight = asked.value as number;
    const text = String(weight);
    const notes = [`kept by ${[...keepers].join(' and ')}`];
    const without = [...new Set(disks.filter(({ weightsKeptBy }) => weightsKeptBy === null).map(({ name }) => name))];
    if (without.length > 0) notes.push(`nothing keeps weights on ${without.join(', ')}`);
    const settings = [{ ...place, key: FILE, text }];
    return { kind: 'set', asked, amounts: [amount(weight)], display: text, settings, notes };
  },

  place: (key, domain) => (key === FILE ? placeOf(domain) : null),

  amountsOf(texts) {
    const text = texts.get(FILE) ?? null;
    return text === null || !/^\d+$/.test(text) ? [] : [amount(Number(text))];
  },

  displayOf: (texts) => texts.get(FILE) ?? 'unreadable',

  fromXml(_key, { blkio }) {
    if (blkio.weight === undefined || blkio.weight === 0) return { text: String(NORMAL_WEIGHT), from: 'default' };
    return { text: String(blkio.weight), from: 'xml' };
  },

  tellFor(texts, domain) {
    const text = texts.get(FILE);
    if (text === undefined || !/^\d{1,5}$/.test(text)) return null;
    if (domain.source === 'libvirt') return told([{ call: 'blkio', parameters: { weight: Number(text) } }]);
    if (domain.groups.io?.systemdOwned !== true) return null;
    const unit = basename(domain.groups.io.weightDir);
    return { calls: [], units: [{ unit, properties: [{ name: 'IOWeight', value: BigInt(text) }] }] };
  },
};

function placeOf({ groups, source }: Domain): Place | null {
  if (groups.io === undefined) return null;
  const path = join(groups.io.weightDir, FILE);
  if (!groups.io.systemdOwned) return { path, writer: 'direct', depth: 0 };
  return { path, writer: source === 'libvirt' ? 'libvirt' : 'systemd', depth: 0 };
}

function amount(value: number): Amount {
  return { metric: 'disk_weight', labels: {}, value };
}
