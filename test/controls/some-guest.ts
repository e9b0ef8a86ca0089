/**
 * Guests on every layout as plain data, and classes as an operator writes them, for tests of single controls.
 *
 *     const domain = guestOn('v2-nested', { tuning: { disks: [fakeDisk({ target: 'vda' })] } });
 *     const desired = diskLimit.desired(classFrom('disk: { limit: { iops: 500 } }'), domain, HOST, sees({}));
 */
import { join } from 'node:path';
import type { Control, Desired, HostFacts, Sight } from '../../src/controls/control.js';
import type { ControllerGroup, Domain, DomainFacts, Hardware, HostDevice, Tuning } from '../../src/domains/types.js';
import { compile } from '../../src/policy/compile.js';
import type { EffectiveClass } from '../../src/policy/types.js';
import { defaultHardware, defaultTuning } from '../fakes/fake-tuning.js';

export const MIB = 1024 ** 2;
export const GIB = 1024 ** 3;

export const HOST: HostFacts = {
  cores: 8,
  cpus: [0, 1, 2, 3, 4, 5, 6, 7],
  cpuVersion: 2,
  memoryBytes: 64 * GIB,
  pageBytes: 4096,
};

/**
 * v1 and v2, each without systemd, with libvirt's own level in the scope (`nested`, libvirt ≥ 7.1) and with the scope alone
 * (`flat`); a QEMU process that nobody runs, in a group of its own or in a scope.
 */
export const LAYOUTS = [
  'v1',
  'v1-nested',
  'v1-flat',
  'v2',
  'v2-nested',
  'v2-flat',
  'bare',
  'bare-v1',
  'bare-scope',
  'bare-scope-v1',
] as const;
export type Layout = (typeof LAYOUTS)[number];

export interface GuestOptions {
  readonly vcpus?: number;
  readonly hardware?: Partial<Hardware>;
  readonly tuning?: Partial<Tuning>;
  readonly hostDevices?: Readonly<Record<string, HostDevice>>;
  /** Tells one instance from another. */
  readonly id?: number;
  readonly facts?: Partial<DomainFacts>;
  readonly domain?: Partial<Domain>;
}

export function groupOn(layout: Layout, controller: string, id = 1): ControllerGroup {
  const version = layout.includes('v1') ? 1 : 2;
  const root = version === 1 ? `/cg/${controller}` : '/cg';
  const inScope = /nested|flat|scope/.test(layout);
  const weightDir = inScope ? `${root}/machine.slice/guest-${id}.scope` : `${root}/machine/guest-${id}`;
  return {
    version,
    domainDir: layout.endsWith('nested') ? join(weightDir, 'libvirt') : weightDir,
    weightDir,
    systemdOwned: inScope,
    ancestors: [join(root, inScope ? 'machine.slice' : 'machine')],
    inode: BigInt(id),
  };
}

export function guestOn(layout: Layout, options: GuestOptions = {}): Domain {
  const { vcpus = 2, id = 1 } = options;
  const bare = layout.startsWith('bare');
  const facts: DomainFacts = {
    uuid: 'u',
    name: 'guest',
    title: '',
    description: '',
    metadata: [],
    id: bare ? null : id,
    state: 'running',
    persistent: true,
    vcpusOnline: vcpus,
    vcpusMax: vcpus,
    hardware: defaultHardware(options.hardware),
    tuning: defaultTuning(options.tuning),
    definition: defaultTuning(),
    originalsXml: null,
    ...options.facts,
  };
  return {
    uuid: 'u',
    name: 'guest',
    source: bare ? 'bare' : 'libvirt',
    state: 'running',
    facts,
    process: { pid: 1000 + id, startTicks: BigInt(id) },
    cgroup: groupOn(layout, 'cpu', id),
    groups: {
      memory: groupOn(layout, 'memory', id),
      io: groupOn(layout, 'blkio', id),
      cpuset: groupOn(layout, 'cpuset', id),
    },
    reasons: {},
    gaps: [],
    vcpuGroups: bare ? [] : Array.from({ length: vcpus }, (_, vcpu) => vcpu),
    vcpuThreads: new Map(),
    hostDevices: new Map(Object.entries(options.hostDevices ?? {})),
    security: null,
    obstacle: null,
    ...options.domain,
  };
}

/** A disk of the host behind one of the guest's. */
export function onDisk(device: string, name: string, weightsKeptBy: 'bfq' | 'iocost' | null = null): HostDevice {
  return { ok: true, disks: [{ device, name, weightsKeptBy }], notes: [] };
}

/** What stands, by the end of its path (with the device after a blank); what is not named cannot be read. */
export function sees(texts: Readonly<Record<string, string>>, missing: readonly string[] = []): Sight {
  return {
    read: ({ path, device }) =>
      Object.entries(texts).find(([end]) => `${path}${device === undefined ? '' : ` ${device}`}`.endsWith(end))?.[1] ??
      null,
    exists: ({ path }) => !missing.some((end) => path.endsWith(end)),
    problem: () => null,
  };
}

export const SEES_NOTHING = sees({});

/** A class from the text below its name. */
export function classFrom(text: string): EffectiveClass {
  const compiled = compile([{ path: 'p.yaml', text: `version: 1\nclasses: { c: { ${text} } }\n` }]);
  if (!compiled.ok) throw new Error(compiled.problems.map(({ message }) => message).join('; '));
  const found = compiled.generation.classes.get('c');
  if (found === undefined) throw new Error('there is no class');
  return { name: 'c', priority: 100, values: found.values, assignment: found.source, openSchedules: [] };
}

export function desiredOf(control: Control, text: string, domain: Domain, sight = SEES_NOTHING, host = HOST): Desired {
  return control.desired(classFrom(text), domain, host, sight);
}

/** Key → text of what is to be set; the reason where nothing is. */
export function textsOf(desired: Desired): Record<string, string> | string {
  if (desired.kind === 'set') return Object.fromEntries(desired.settings.map(({ key, text }) => [key, text]));
  return desired.kind === 'unmanaged' ? 'unmanaged' : `${desired.kind}: ${desired.reason}`;
}

/** Key → who writes it. */
export function writersOf(desired: Desired): Record<string, string> {
  return desired.kind === 'set' ? Object.fromEntries(desired.settings.map(({ key, writer }) => [key, writer])) : {};
}

/** What its owner is told when all that is desired is to be set. */
export function tellOf(control: Control, desired: Desired, domain: Domain) {
  if (desired.kind !== 'set') return null;
  return control.tellFor?.(new Map(desired.settings.map(({ key, text }) => [key, text])), domain) ?? null;
}
