/**
 * Wires what knows the guests: the inventory with its sources, the watches on their groups, what their disks and taps
 * say, their accounts.
 */
import { arch } from 'node:os';
import type { Config } from './config/types.js';
import { Accounts } from './domains/accounts.js';
import { Arrivals } from './domains/arrivals.js';
import { BareGuests } from './domains/bare.js';
import { deviceSight, type ReadTaps } from './domains/device-sight.js';
import { DiskReadings } from './domains/disk-readings.js';
import type { DomainHandles } from './domains/handles.js';
import { HostDevices, type HostDevicesOptions } from './domains/host-devices.js';
import { Inventory } from './domains/inventory.js';
import { Taps } from './domains/taps.js';
import type { Domain } from './domains/types.js';
import { BlockDevices } from './host/block/block-devices.js';
import type { CgroupFiles } from './host/cgroup/kernel-files.js';
import type { Hierarchies } from './host/cgroup/layout.js';
import { pageBytes } from './host/cgroup/page-bytes.js';
import { type GroupChange, GroupWatcher } from './host/cgroup/watch.js';
import type { Clock } from './host/clock.js';
import type { LibvirtClient } from './host/libvirt/client.js';
import { InterfaceCounters } from './host/net/counters.js';
import type { CpuTerms } from './signals/cpu.js';

export interface Guests {
  readonly inventory: Inventory;
  readonly disks: DiskReadings;
  readonly hostDevices: HostDevices;
  readonly accounts: Accounts;
  readonly watcher: GroupWatcher;
  readonly arrivals: Arrivals | null;
  close(): void;
}

/** What a test puts in the place of the host's. */
export interface GuestsInstead {
  readonly cgroupFiles?: CgroupFiles;
  readonly block?: HostDevicesOptions['block'];
  readonly taps?: ReadTaps & Pick<Taps, 'close'>;
}

export interface GuestsOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly libvirt: LibvirtClient;
  readonly hierarchies: Hierarchies;
  readonly instead: GuestsInstead;
  /** Watch groups with inotify. */
  readonly watch: boolean;
  onGroup(uuid: string, change: GroupChange): void;
  onArrival(uuid: string, pid: number): void;
  cpuTerms(domain: Domain): CpuTerms;
  /** Something was learnt about a guest: look at it. */
  onLearnt(uuid: string): void;
}

export function assembleGuests(options: GuestsOptions): Guests {
  const { clock, config, hierarchies, instead, libvirt, onLearnt } = options;
  const located = {
    hierarchies,
    procRoot: config.paths.proc,
    runLibvirt: config.paths.runLibvirt,
    ...(instead.cgroupFiles && { cgroupFiles: instead.cgroupFiles }),
  };
  const ownerOf = new Map<string, string>();
  const watcher = new GroupWatcher((change: GroupChange) => {
    if (arrivals?.handle(change) === true) return;
    const uuid = ownerOf.get(change.directory);
    if (uuid === undefined) return;
    options.onGroup(uuid, change);
    const handles = inventory.handles(uuid);
    // A vCPU that is plugged in again has a new directory under the old name.
    if (change.kind === 'created' && handles !== null) watchVcpus(uuid, handles);
  });
  const arrivals =
    hierarchies.cpu === undefined || !options.watch
      ? null
      : new Arrivals({
          hierarchy: hierarchies.cpu,
          procRoot: config.paths.proc,
          watcher,
          onArrival: options.onArrival,
        });
  const watchGroups = (uuid: string, directories: readonly string[]): void => {
    if (!options.watch) return;
    for (const directory of new Set(directories)) if (watcher.add(directory)) ownerOf.set(directory, uuid);
  };
  const watchVcpus = (uuid: string, handles: DomainHandles): void => {
    const vcpus = handles.vcpuGroups();
    const pins = vcpus.map((vcpu) => handles.cpusetDirectory(vcpu)).filter((directory) => directory !== null);
    watchGroups(uuid, [...vcpus.map((vcpu) => handles.vcpuDirectory(vcpu)), ...pins]);
  };

  const disks = new DiskReadings({ libvirt, monotonicMs: clock.monotonicMs, onLearnt });
  const taps = instead.taps ?? new Taps();
  const interfaces = new InterfaceCounters();
  const accounts = new Accounts({
    procRoot: config.paths.proc,
    pageBytes: pageBytes(),
    disks,
    interfaces,
    clock,
    cpuTerms: options.cpuTerms,
  });
  const inventory: Inventory = new Inventory({
    ...located,
    libvirt,
    bare: new BareGuests({ ...located, usesLibvirt: config.libvirtUri !== null, hostArch: archName() }),
    devices: deviceSight(disks, taps),
    onOpened: (uuid, handles) => {
      const trees = [handles.cgroup, ...Object.values(handles.groups)];
      watchGroups(
        uuid,
        trees.flatMap(({ domainDir, weightDir }) => [domainDir, weightDir]),
      );
      watchVcpus(uuid, handles);
      arrivals?.addParentOf(handles.cgroup.weightDir);
    },
    onClosed: (uuid) => {
      accounts.forget(uuid);
      hostDevices.forget(uuid);
      for (const [directory, owner] of [...ownerOf]) {
        if (owner !== uuid) continue;
        ownerOf.delete(directory);
        watcher.remove(directory);
      }
    },
    onVcpus: watchVcpus,
  });
  const { proc: procRoot, cgroup } = config.paths;
  // On a hybrid host v2 may have the controller below another mount.
  const cgroupRoot = hierarchies.io?.version === 2 ? hierarchies.io.root : cgroup;
  const block = instead.block ?? new BlockDevices({ procRoot, cgroupRoot });
  const hostDevices = new HostDevices({
    block,
    monotonicMs: clock.monotonicMs,
    onLearnt: (uuid, devices) => {
      inventory.learn(uuid, { hostDevices: devices });
      onLearnt(uuid);
    },
  });
  return {
    inventory,
    disks,
    hostDevices,
    accounts,
    watcher,
    arrivals,
    close() {
      watcher.close();
      inventory.close();
      taps.close();
      interfaces.close();
    },
  };
}

/** Node's name of an architecture → QEMU's. */
function archName(): string {
  return (
    { x64: 'x86_64', arm64: 'aarch64', ppc64: 'ppc64', s390x: 's390x', riscv64: 'riscv64' }[arch() as string] ?? arch()
  );
}
