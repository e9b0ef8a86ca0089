/**
 * disk.weight: the guest's share of a disk's time when others want it too, on the scale of cgroup v2's io.weight (1–10000,
 * 100 normal). Nothing keeps weights unless the disk's scheduler is BFQ, which has a file of its own (io.bfq.weight, 1–1000),
 * or the io cost controller is on for it, which `reconcile/host-controls/io-cost.ts` sees to where the class allows it.
 * Sources: cgroup-v2.rst (io.weight), bfq-iosched.rst, virDomainSetBlkioParameters (weight: libvirt converts nothing and
 * writes BFQ's file where there is one), systemd's IOWeight= (sets both files, BFQ's as BFQ_WEIGHT in basic/cgroup-util.h).
 */
import { basename, join } from 'node:path';
import type { ControllerGroup, Domain } from '../domains/types.js';
import { flag, diskWeight as schema } from '../policy/value-types.js';
import { type Amount, type Control, type Desired, type Place, type Setting, told } from './control.js';

const COST = 'io.weight';
const BFQ = 'io.bfq.weight';
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
    {
      key: 'disk.iocost',
      schema: flag,
      summary:
        'virtslad may switch the kernel’s io cost controller on for the whole disks that these guests stand on, so that disk.weight counts there; it concerns everybody on those disks',
      unit: 'true or false',
      range: 'true, false',
      example: 'true',
    },
  ],
  metrics: [{ name: 'disk_weight', help: 'Disk weight on the scale of cgroup v2, 100 normal', labels: [] }],

  desired(wanted, domain, _host, { exists }): Desired {
    const asked = wanted.values.get('disk.weight');
    if (asked === undefined) return { kind: 'unmanaged' };
    const unsupported = (reason: string): Desired => ({ kind: 'unsupported', reason, asked });
    const { io } = domain.groups;
    if (io === undefined) return unsupported(domain.reasons.io ?? 'it has no I/O cgroup of its own');
    if (io.version === 1 && io.systemdOwned) return unsupported('on cgroup v1 systemd has a scale of its own for it');
    const disks = [...domain.hostDevices.values()].flatMap((device) => (device.ok ? device.disks : []));
    const keepers = new Set(disks.flatMap(({ weightsKeptBy }) => weightsKeptBy ?? []));
    if (keepers.size === 0) {
      const names = [...new Set(disks.map(({ name }) => name))].join(', ') || 'its disks';
      const mayBeSwitchedOn = wanted.values.get('disk.iocost')?.value === true && io.version === 2;
      return unsupported(
        mayBeSwitchedOn
          ? `nothing keeps weights on ${names}: host.io-cost has not switched the io cost controller on`
          : `nothing keeps weights on ${names}: neither the BFQ scheduler nor the io cost controller is on`,
      );
    }
    const weight = asked.value as number;
    // Where systemd owns the group its one property is both files; elsewhere libvirt knows of one alone.
    const kept = io.systemdOwned ? [...keepers] : [keepers.has('bfq') ? 'bfq' : 'iocost'];
    const files = io.systemdOwned ? [COST, BFQ] : [kept.includes('bfq') ? BFQ : COST];
    const settings = files.flatMap((key): Setting[] => {
      const place = placeOf(key, domain);
      const text = String(key === BFQ ? toBfq(weight) : weight);
      return place === null || !exists(place) ? [] : [{ ...place, key, text }];
    });
    if (settings.length === 0) return unsupported('this kernel has no disk weights for groups');
    const notes = [`kept by ${kept.join(' and ')}`];
    const without = new Set(disks.flatMap((disk) => (kept.includes(disk.weightsKeptBy ?? '') ? [] : [disk.name])));
    if (without.size > 0) notes.push(`nothing keeps it on ${[...without].join(', ')}`);
    const texts = new Map(settings.map(({ key, text }) => [key, text]));
    return { kind: 'set', asked, amounts: amountsOf(texts), display: String(weight), settings, notes };
  },

  place: placeOf,

  amountsOf,

  displayOf(texts) {
    const weight = weightOf(texts);
    return weight === null ? 'unreadable' : String(weight);
  },

  fromXml(key, { blkio }, { groups }) {
    const { weight = 0 } = blkio;
    if (weight === 0) return { text: String(NORMAL_WEIGHT), from: 'default' };
    const converted = key === BFQ && groups.io?.systemdOwned === true;
    return { text: String(converted ? toBfq(weight) : weight), from: 'xml' };
  },

  tellFor(texts, { source, groups: { io } }) {
    const [text] = texts.values();
    const weight = io?.systemdOwned === true ? weightOf(texts) : Number(text);
    if (io === undefined || weight === null || !Number.isInteger(weight)) return null;
    if (source === 'libvirt') return told([{ call: 'blkio', parameters: { weight } }]);
    if (!io.systemdOwned) return null;
    return {
      calls: [],
      units: [{ unit: basename(io.weightDir), properties: [{ name: 'IOWeight', value: BigInt(weight) }] }],
    };
  },
};

function placeOf(key: string, { groups: { io }, source }: Domain): Place | null {
  if (io === undefined || !offers(key, io)) return null;
  const path = join(io.weightDir, key);
  if (!io.systemdOwned) return { path, writer: 'direct', depth: 0 };
  return { path, writer: source === 'libvirt' ? 'libvirt' : 'systemd', depth: 0 };
}

/** v1 has the two files too, and a kernel that has CFQ's io.weight there has no iocost. */
function offers(key: string, { version }: ControllerGroup): boolean {
  return key === BFQ || (key === COST && version === 2);
}

/** BFQ's scale is the same up to 100, and from there a tenth of the range. */
function toBfq(weight: number): number {
  return weight <= 100 ? weight : 100 + Math.floor(((weight - 100) * 900) / 9900);
}

/** The least weight that is this one of BFQ's. */
function fromBfq(weight: number): number {
  return weight <= 100 ? weight : 100 + Math.ceil(((weight - 100) * 9900) / 900);
}

/** On the scale of io.weight; null when unreadable. */
function weightOf(texts: ReadonlyMap<string, string | null>): number | null {
  const [cost, bfq] = [COST, BFQ]
    .map((key) => texts.get(key) ?? '')
    .map((text) => (/^\d{1,5}$/.test(text) ? Number(text) : null));
  return cost ?? (bfq == null ? null : fromBfq(bfq));
}

function amountsOf(texts: ReadonlyMap<string, string | null>): readonly Amount[] {
  const weight = weightOf(texts);
  return weight === null ? [] : [{ metric: 'disk_weight', labels: {}, value: weight }];
}
