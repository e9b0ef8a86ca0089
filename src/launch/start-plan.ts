/**
 * What stands in a guest's own groups before its first instruction: the very plan that the daemon would make for it, of
 * those controls whose places are there before QEMU is. What only a running guest has (disks, taps) is the daemon's.
 * Pure.
 */
import type { Control, HostFacts, Sight } from '../controls/control.js';
import { CONTROLS } from '../controls/registry.js';
import { archOf, bareFacts } from '../domains/bare-facts.js';
import type { Domain, ProcessIdentity } from '../domains/types.js';
import type { EffectiveClass } from '../policy/types.js';
import type { JournalRecord } from '../reconcile/journal-format.js';
import { type DomainPlan, planDomain } from '../reconcile/plan.js';
import type { LaunchRequest } from './request.js';

const BEFORE_START = [
  'cpu.limit',
  'cpu.burst',
  'cpu.weight',
  'memory.guarantee',
  'memory.limit',
  'memory.high',
  'memory.swap',
];

export interface StartingGuest {
  readonly uuid: string;
  readonly name: string;
  readonly process: ProcessIdentity;
  readonly request: LaunchRequest;
  readonly hostArch: string;
  /** Guest memory is on a hugetlbfs. */
  readonly hugepages: boolean;
}

/** The guest as the daemon will see it, in the groups that it was found in. */
export function startingDomain(
  { uuid, name, process, request, hostArch, hugepages }: StartingGuest,
  { cgroup, groups, reasons }: Pick<Domain, 'cgroup' | 'groups' | 'reasons'>,
): Domain {
  const { command, program } = request;
  return {
    uuid,
    name,
    source: 'bare',
    state: 'running',
    facts: bareFacts(command, {
      uuid,
      name,
      arch: archOf(program, hostArch),
      hugepages: hugepages || command.hugetlb,
    }),
    process,
    cgroup,
    groups,
    reasons,
    gaps: command.gaps,
    vcpuGroups: [],
    vcpuThreads: new Map(),
    hostDevices: new Map(),
    security: null,
    obstacle: null,
  };
}

export function startPlan(domain: Domain, effective: EffectiveClass, host: HostFacts, sight: Sight): DomainPlan {
  return planDomain({
    domain,
    effective,
    host,
    controls: CONTROLS.filter(({ id }) => BEFORE_START.includes(id)),
    sight,
    record: () => null,
    baselineUnknown: false,
    mayAdopt: false,
    unsettled: () => false,
    held: () => false,
    occasion: 'start',
  });
}

/** What stood there before, for whoever gives it back. */
export function recordsOf(plan: DomainPlan): readonly JournalRecord[] {
  return plan.controls.flatMap(({ record }) => (record === null ? [] : [record]));
}

/** What the class asks for and the guest starts without, in words. */
export function withoutThem(plan: DomainPlan): readonly string[] {
  return plan.controls.flatMap(
    ({ control, desired }: { control: Control; desired: DomainPlan['controls'][number]['desired'] }) =>
      desired.kind === 'refused' || desired.kind === 'unsupported'
        ? [`${control.id} is not set: ${desired.reason}`]
        : [],
  );
}
