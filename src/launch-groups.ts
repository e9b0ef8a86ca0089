/**
 * The groups that a guest is started in: a scope of its own under systemd, the service that it is started by, or groups
 * made in each tree. This process enters them, and its limits stand there, before it becomes QEMU.
 */
import { cpus, totalmem } from 'node:os';
import { basename } from 'node:path';
import type { Config } from './config/types.js';
import type { HostFacts } from './controls/control.js';
import { AncestorGroups } from './domains/ancestors.js';
import { type BareLocated, locateBare } from './domains/bare-locate.js';
import { DomainHandles } from './domains/handles.js';
import { sightOf } from './domains/sight.js';
import type { Domain } from './domains/types.js';
import { VirtsladError } from './errors.js';
import { findHierarchies, type Hierarchies } from './host/cgroup/layout.js';
import { pageBytes } from './host/cgroup/page-bytes.js';
import { onlineCpus } from './host/cpus.js';
import {
  enterGroups,
  groupsOf,
  makeOwnGroups,
  ownGroupName,
  ownGroupPlaces,
  removeOwnGroups,
} from './host/launch/own-groups.js';
import { startScope } from './host/launch/scope.js';
import { readCgroupText } from './host/proc/cgroup-text.js';
import { type SystemdProperties, systemdProperties } from './host/systemd/properties.js';
import { scopeName } from './launch/scope-name.js';
import { startPlan } from './launch/start-plan.js';
import type { Log } from './log.js';
import type { EffectiveClass } from './policy/types.js';
import { applyDomain } from './reconcile/apply.js';
import type { DomainPlan } from './reconcile/plan.js';
import { setUnit } from './reconcile/unit-properties.js';
import { printable } from './text/printable.js';

export interface LaunchPlace {
  /** What will be made, for the record ahead of it. */
  readonly groups: readonly string[];
  /** Makes and enters them. @throws VirtsladError LAUNCH_GROUP */
  enter(): BareLocated;
  /** Back to where this process came from; what was made is removed. */
  leave(): void;
}

/** What goes wrong is an error here, said once. */
const SILENT: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
/** systemd writes the kernel's files a moment after it has answered. */
const SETTLE_MS = 2_000;
const ASK_AGAIN_MS = 20;

export function choosePlace(guest: { readonly uuid: string; readonly name: string }, config: Config): LaunchPlace {
  const { pid } = process;
  const { proc: procRoot, cgroup, runLibvirt } = config.paths;
  const hierarchies = findHierarchies(cgroup);
  const locate = () =>
    locateBare({ pid, uuid: guest.uuid, offshoots: [], vcpuThreadIds: [] }, { hierarchies, procRoot, runLibvirt });
  const before = readCgroupText(procRoot, pid);
  const here = locate();
  if (here.cgroup?.domainDir.endsWith('.service') && here.cgroup.systemdOwned) {
    return { groups: [], enter: () => here, leave: () => undefined };
  }
  if (systemdProperties({ log: SILENT }).available()) return scopePlace(guest, locate);
  return groupPlace(guest.uuid, hierarchies, before, locate);
}

function scopePlace(
  { uuid, name }: { readonly uuid: string; readonly name: string },
  locate: () => BareLocated,
): LaunchPlace {
  const unit = scopeName(name, uuid);
  return {
    groups: [],
    enter() {
      const description = `Virtual machine ${printable(name, 100)}, started by virtslad`;
      const started = startScope({ unit, description, pid: process.pid });
      if (!started.ok) throw failed(started.reason, unit, 'see systemctl status and the journal');
      const until = performance.now() + SETTLE_MS;
      for (let here = locate(); ; here = locate()) {
        if (here.cgroup !== null && basename(here.cgroup.weightDir) === unit) return here;
        if (performance.now() > until)
          throw failed(here.reasons.cpu ?? 'systemd has not moved this process', unit, 'see the journal');
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ASK_AGAIN_MS);
      }
    },
    // With its last process the scope goes.
    leave: () => undefined,
  };
}

function groupPlace(uuid: string, hierarchies: Hierarchies, before: string, locate: () => BareLocated): LaunchPlace {
  const places = ownGroupPlaces(hierarchies, ownGroupName(uuid, process.pid));
  let made: readonly string[] = [];
  return {
    groups: places.flat(),
    enter() {
      const result = makeOwnGroups(hierarchies, places);
      if (!result.ok) throw failed(result.reason, result.path, 'run as root, with the cgroup trees writable');
      made = result.groups;
      try {
        enterGroups(made);
      } catch (error) {
        throw failed((error as Error).message, made[0] ?? '', 'see that the groups above it take processes');
      }
      const here = locate();
      if (here.cgroup === null)
        throw failed(here.reasons.cpu ?? 'it is not its own', made[0] ?? '', 'mount the CPU controller');
      return here;
    },
    leave() {
      try {
        if (made.length > 0) enterGroups(groupsOf(hierarchies, before));
      } catch {
        // This process is about to end, and its groups can be removed then.
      }
      removeOwnGroups(made);
    },
  };
}

/** What the class asks of these groups, what stands there now, and how to have it stand there. */
export interface StartLimits {
  readonly plan: DomainPlan;
  /** @throws VirtsladError LAUNCH_GROUP: the guest must not run without them */
  apply(): Promise<void>;
  close(): void;
}

export function startLimits(domain: Domain, effective: EffectiveClass): StartLimits {
  if (domain.cgroup === null) throw failed('it has no CPU group', '', 'mount the CPU controller');
  const handles = DomainHandles.open({ cgroup: domain.cgroup, groups: domain.groups });
  if (handles === null) throw failed('the group is gone', domain.cgroup.domainDir, 'see who removes groups');
  const sight = sightOf(() => ({ domain, handles }), new AncestorGroups(), { read: () => null, problem: () => null });
  const plan = startPlan(domain, effective, hostFacts(domain.cgroup.version), sight);
  return {
    plan,
    async apply() {
      for (const { outcome, message, write } of applyDomain(plan, handles, () => true)) {
        if (outcome !== 'applied') throw failed(message ?? outcome, write.path, 'correct the value in the class');
      }
      const units = plan.controls.flatMap(({ tell }) => tell?.units ?? []);
      const systemd = systemdProperties({ log: SILENT });
      try {
        for (const unit of units) await tell(systemd, unit);
      } finally {
        await systemd.stop();
      }
      const due = plan.controls.flatMap(({ writes }) => writes);
      const until = performance.now() + SETTLE_MS;
      for (;;) {
        const missing = due.find((write) => sight.read(write) !== write.text);
        if (missing === undefined) return;
        if (performance.now() > until) {
          const standing = sight.read(missing) ?? 'nothing';
          throw failed(
            `${missing.text} was asked for and ${standing} stands`,
            missing.path,
            'see who else writes there',
          );
        }
        await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
      }
    },
    close: () => handles.close(),
  };
}

async function tell(systemd: SystemdProperties, unit: Parameters<typeof setUnit>[1]): Promise<void> {
  const outcome = await setUnit(systemd, unit, () => true);
  if (!outcome.ok) throw failed(outcome.message, unit.unit, 'see the journal');
}

function hostFacts(cpuVersion: 1 | 2): HostFacts {
  return { cores: cpus().length, cpus: onlineCpus(), cpuVersion, memoryBytes: totalmem(), pageBytes: pageBytes() };
}

function failed(reason: string, where: string, fix: string): VirtsladError {
  const message = `the guest's groups are not ready: ${reason}`;
  return new VirtsladError({ code: 'LAUNCH_GROUP', message, ...(where !== '' && { where }), fix });
}
