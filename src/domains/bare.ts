/**
 * Guests without libvirt: the QEMU processes that /proc shows and libvirt does not run. Each look finds who is there, who
 * is who and which groups they live in. Nothing is asked of QEMU: its monitor belongs to whoever started it.
 */
import { readPidFiles } from '../host/libvirt/pid-files.js';
import { readCgroupText } from '../host/proc/cgroup-text.js';
import { type QemuCommand, type QemuProcess, QemuProcesses, readBootId } from '../host/proc/qemu-processes.js';
import { readSmallFile } from '../host/proc/read-small.js';
import { VcpuThreadReader, type VcpuThreads } from '../host/proc/vcpu-threads.js';
import { inSlices } from '../host/slices.js';
import { type BareCommand, parseCommand } from './bare-command.js';
import { archOf, bareFacts, isOnHugetlbfs } from './bare-facts.js';
import { type BareIdentity, identify, type LibvirtGuests } from './bare-identity.js';
import { type BareLocated, locateBare } from './bare-locate.js';
import { parseOptions, type QemuOption } from './bare-options.js';
import { isGuest, isLibvirtCommand, isLibvirtGroup } from './bare-origin.js';
import type { LocateOptions } from './locate.js';
import type { Domain, DomainFacts, ProcessIdentity } from './types.js';

export interface BareOptions extends LocateOptions {
  /** False with `--libvirt-uri none`: libvirt's processes are guests like any other then. */
  readonly usesLibvirt: boolean;
  /** The host's architecture, `x86_64`. */
  readonly hostArch: string;
}

export interface BareGuest extends BareLocated {
  readonly uuid: string;
  readonly name: string;
  readonly process: ProcessIdentity;
  readonly facts: DomainFacts;
  readonly vcpuThreads: Domain['vcpuThreads'];
  /** Why its command line does not say everything; empty when it does. */
  readonly gaps: readonly string[];
  /** Why it must not be acted on; null when it may. */
  readonly obstacle: string | null;
}

export interface BareScan {
  /** Oldest pid first. */
  readonly guests: readonly BareGuest[];
  /** Why some processes could not be told this time; null when all could. Those known are listed all the same. */
  readonly problem: string | null;
}

/** What is known of a process for as long as it runs the same program. Null: libvirt runs it. */
type Description = { readonly bare: Described | null };

interface Described {
  readonly command: BareCommand;
  readonly arch: string;
  readonly hugepages: boolean;
}

/** What a guest is made of beside its process and identity. */
interface Ingredients extends Described {
  readonly threads: VcpuThreads;
  readonly crowded: Set<string>;
}

interface Entry {
  readonly described: Described;
  readonly threads: VcpuThreadReader;
  guest: BareGuest | null;
  /** What the guest was made from; made anew when any of it differs. */
  madeFrom: readonly unknown[];
  looks: number;
  /** How often in a row it could not be acted on. */
  obstructed: number;
}

/**
 * Where the process is, is read at every look; who else lives in its group at every twelfth, not of all guests at the same
 * look. What stands in the way is looked at again at once for a while: a guest that starts may get its group any moment.
 */
const WHOLE_LOOK_EVERY = 12;
const IMPATIENT_LOOKS = 12;

export class BareGuests {
  readonly #options: BareOptions;
  readonly #processes: QemuProcesses<Description>;
  readonly #entries = new Map<number, Entry>();
  #bootId = '';
  #pidFiles: ReadonlySet<number> | null = null;

  constructor(options: BareOptions) {
    this.#options = options;
    this.#processes = new QemuProcesses({
      procRoot: options.procRoot,
      describe: (command, pid) => this.#describe(command, pid),
    });
  }

  /** `libvirtGuests`: uuid → pid of all that libvirt lists, as far as is known; without libvirt, none. */
  async scan(libvirtGuests: LibvirtGuests = new Map()): Promise<BareScan> {
    this.#pidFiles = null;
    this.#bootId ||= readBootId(this.#options.procRoot);
    const { processes, problem } = await this.#processes.scan();
    const libvirtPids = new Set(libvirtGuests.values());
    const byPid = new Map<number, QemuProcess<Described>>();
    for (const process of processes) {
      const { bare } = process.description;
      if (bare !== null && !libvirtPids.has(process.pid)) byPid.set(process.pid, { ...process, description: bare });
    }
    const candidates = [...byPid.values()].map((process) => ({ ...process, command: process.description.command }));
    const identities = identify(candidates, { bootId: this.#bootId, libvirtGuests });
    for (const pid of this.#entries.keys()) if (!byPid.has(pid)) this.#entries.delete(pid);
    const crowded = new Set<string>();
    const guests: BareGuest[] = [];
    await inSlices(identities, (identity) => {
      const process = byPid.get(identity.pid);
      if (process !== undefined) guests.push(this.#look(process, identity, crowded));
    });
    return { guests: guests.sort((a, b) => a.process.pid - b.process.pid), problem };
  }

  #describe({ executable, argv, cut }: QemuCommand, pid: number): Description | null {
    const { procRoot, usesLibvirt, hostArch } = this.#options;
    const options = parseOptions(argv);
    if (!isGuest(options)) return null;
    if (usesLibvirt && this.#isLibvirts(options, pid)) return { bare: null };
    const command = parseCommand(argv, cut, options);
    const mounts = command.memoryPaths.length === 0 ? null : readSmallFile(`${procRoot}/${pid}/mounts`);
    const onHugetlbfs = mounts?.kind === 'text' && isOnHugetlbfs(command.memoryPaths, mounts.text);
    const arch = archOf(executable, hostArch);
    return { bare: { command, arch, hugepages: command.hugetlb || onHugetlbfs } };
  }

  /** By its own marks first; the pid files are read once a look, and only for a process that has none. */
  #isLibvirts(options: readonly QemuOption[], pid: number): boolean {
    const { procRoot, runLibvirt } = this.#options;
    if (isLibvirtCommand(options) || isLibvirtGroup(readCgroupText(procRoot, pid))) return true;
    this.#pidFiles ??= new Set(readPidFiles(runLibvirt).values());
    return this.#pidFiles.has(pid);
  }

  #look(process: QemuProcess<Described>, identity: BareIdentity, crowded: Set<string>): BareGuest {
    const { pid, startTicks, threadCount, description } = process;
    let entry = this.#entries.get(pid);
    if (entry?.described !== description) {
      const threads = new VcpuThreadReader(this.#options.procRoot, pid);
      entry = { described: description, threads, guest: null, madeFrom: [], looks: 0, obstructed: 0 };
      this.#entries.set(pid, entry);
    }
    entry.looks += 1;
    const threads = entry.threads.read(threadCount);
    const whereabouts = this.#whereabouts(pid);
    if (whereabouts === null && entry.guest !== null) return entry.guest;
    const madeFrom = [identity.uuid, identity.obstacle, identity.offshoots.join(), threads, whereabouts];
    const same = madeFrom.every((part, index) => part === entry.madeFrom[index]);
    const impatient = entry.obstructed > 0 && entry.obstructed <= IMPATIENT_LOOKS;
    const isDue = impatient || (entry.looks + pid) % WHOLE_LOOK_EVERY === 0;
    if (entry.guest !== null && same && !isDue) return entry.guest;
    const guest = this.#build({ pid, startTicks }, identity, { ...description, threads, crowded });
    // The same object says that nothing has changed.
    if (entry.guest === null || !same || !isSamePlace(entry.guest, guest)) entry.guest = guest;
    entry.madeFrom = madeFrom;
    entry.obstructed = guest.obstacle === null ? 0 : entry.obstructed + 1;
    return entry.guest;
  }

  /** The groups that the process is in; null when that cannot be told now. */
  #whereabouts(pid: number): string | null {
    try {
      return readCgroupText(this.#options.procRoot, pid);
    } catch {
      return null;
    }
  }

  #build(process: ProcessIdentity, { uuid, name, obstacle, offshoots }: BareIdentity, from: Ingredients): BareGuest {
    const { command, arch, hugepages, threads, crowded } = from;
    const vcpuThreads = vcpuThreadsOf(threads, command.vcpus);
    const vcpuThreadIds = [...new Set(vcpuThreads.values())];
    const located: BareLocated =
      obstacle === null
        ? locateBare({ pid: process.pid, uuid, offshoots, vcpuThreadIds }, this.#options, crowded)
        : { cgroup: null, groups: {}, reasons: {} };
    return {
      ...located,
      uuid,
      name,
      process,
      facts: bareFacts(command, { uuid, name, arch, hugepages }),
      vcpuThreads,
      gaps: command.gaps,
      obstacle: obstacle ?? (located.cgroup === null ? (located.reasons.cpu ?? null) : null),
    };
  }
}

/** One thread may run all vCPUs. */
function vcpuThreadsOf({ byVcpu, shared }: VcpuThreads, vcpus: number): ReadonlyMap<number, number> {
  if (shared === null) return byVcpu;
  return new Map(Array.from({ length: vcpus }, (_, vcpu) => [vcpu, shared]));
}

function isSamePlace(a: BareGuest, b: BareGuest): boolean {
  const text = ({ cgroup, groups, reasons }: BareGuest): string =>
    JSON.stringify([cgroup, groups, reasons], (_, value) => (typeof value === 'bigint' ? String(value) : value));
  return text(a) === text(b);
}
