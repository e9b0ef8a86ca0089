/**
 * The families with series for each guest, as a table: name, help, and how to get the values from a domain's snapshot.
 * What the host's own counters say is in `signal-families.ts`, desired and actual values in `control-families.ts`.
 */
import type { Control } from '../controls/control.js';
import type { CpuCounters, DomainSnapshot } from '../snapshot/types.js';
import { desiredAndActual } from './control-families.js';
import { bit, type DomainFamily, plain } from './family.js';
import { noncompliances } from './reasons.js';
import { LABEL_FAMILIES } from './security-families.js';
import { OBJECTIVE_FAMILIES } from './service-level-families.js';
import { SIGNAL_FAMILIES } from './signal-families.js';

/** All families of a guest, in the order in which they are shown. */
export function domainFamilies(controls: readonly Control[]): readonly DomainFamily[] {
  const figures = controls.flatMap(desiredAndActual);
  return [
    ...GUEST,
    ...STATE_OF_CONTROLS,
    ...LABEL_FAMILIES,
    ...CPU,
    ...OBJECTIVE_FAMILIES,
    ...SIGNAL_FAMILIES,
    ...figures,
  ];
}

/** The guest exists as a process: it has counters, and limits that can hold. */
export function isActive(domain: DomainSnapshot): boolean {
  return domain.state !== 'shutoff' && domain.state !== 'crashed';
}

function isManaged(domain: DomainSnapshot): boolean {
  return domain.className !== null;
}

const GUEST: readonly DomainFamily[] = [
  {
    name: 'virtsla_domain_info',
    help: 'Always 1; one series for each guest that virtslad sees, shut-off and unmanaged ones too',
    type: 'gauge',
    labels: ['state'],
    samples: (domain) => [{ labels: [domain.state], value: 1 }],
  },
  plain('virtsla_domain_managed', 'gauge', '1 when an assignment gives the guest a class, else 0', (domain) =>
    bit(isManaged(domain)),
  ),
  plain(
    'virtsla_domain_held',
    'gauge',
    '1 while an operator has virtslad keep its hands off the guest (held or released), else 0',
    (domain, snapshot) => bit(domain.handsOff !== null || (snapshot.handsOffAll && isManaged(domain))),
  ),
  plain(
    'virtsla_domain_compliant',
    'gauge',
    '1 when every supported control of a managed guest that runs holds its desired value, else 0',
    (domain) => (isManaged(domain) && isActive(domain) ? bit(domain.compliant) : null),
  ),
  plain(
    'virtsla_domain_obstructed',
    'gauge',
    '1 while a guest that runs cannot be acted on (no cgroup of its own, not described by libvirt), else 0',
    (domain) => (isActive(domain) ? bit(domain.obstacle !== null) : null),
  ),
  plain('virtsla_domain_vcpus', 'gauge', 'Online vCPUs of the guest', (domain) =>
    domain.vcpus > 0 ? domain.vcpus : null,
  ),
  plain(
    'virtsla_drift_repairs_total',
    'counter',
    'Values of a guest that runs put back after someone else had changed them',
    (domain, snapshot) => (isActive(domain) ? (snapshot.driftRepairsByDomain[domain.uuid] ?? 0) : null),
  ),
];

const STATE_OF_CONTROLS: readonly DomainFamily[] = [
  {
    name: 'virtsla_control_noncompliant',
    help: 'Always 1; one series for each control of a guest that is not compliant, with a reason code',
    type: 'gauge',
    labels: ['control', 'reason'],
    samples: (domain, snapshot) =>
      noncompliances(domain, snapshot).map(({ control, reason }) => ({ labels: [control, reason], value: 1 })),
  },
  {
    name: 'virtsla_control_contested',
    help: '1 while someone rewrites the value of the control again and again and virtslad backs off, else 0',
    type: 'gauge',
    labels: ['control'],
    samples: (domain) =>
      domain.controls
        .filter((control) => control.status !== 'unsupported')
        .map((control) => ({ labels: [control.id], value: bit(control.status === 'contested') })),
  },
  {
    name: 'virtsla_control_unsupported',
    help: 'Always 1; one series for each control that the policy asks for and this host, guest or version cannot do',
    type: 'gauge',
    labels: ['control'],
    samples: (domain) =>
      domain.controls
        .filter((control) => control.status === 'unsupported')
        .map((control) => ({ labels: [control.id], value: 1 })),
  },
];

function cpuCounter(name: string, help: string, of: (cpu: CpuCounters) => number): DomainFamily {
  return plain(name, 'counter', help, (domain) => (domain.cpu === null ? null : of(domain.cpu)));
}

const CPU: readonly DomainFamily[] = [
  cpuCounter('virtsla_cpu_used_seconds_total', 'CPU time used by the vCPU threads', (cpu) => cpu.usedSeconds),
  cpuCounter(
    'virtsla_cpu_delivered_seconds_total',
    'CPU time that the vCPUs were given: what they used',
    (cpu) => cpu.usedSeconds,
  ),
  cpuCounter(
    'virtsla_cpu_demanded_seconds_total',
    'CPU time that the vCPUs wanted: what they used, and what they waited for beside what their own limit took',
    (cpu) => cpu.demandedSeconds,
  ),
  cpuCounter(
    'virtsla_cpu_entitled_seconds_total',
    'CPU time that the guest wanted and was guaranteed',
    (cpu) => cpu.entitledSeconds,
  ),
  cpuCounter(
    'virtsla_cpu_shortfall_seconds_total',
    'CPU time that the guest wanted, was guaranteed, and did not get',
    (cpu) => cpu.shortfallSeconds,
  ),
  cpuCounter(
    'virtsla_cpu_active_seconds_total',
    'Time in which at least one vCPU wanted to run',
    (cpu) => cpu.activeSeconds,
  ),
  cpuCounter(
    'virtsla_cpu_wait_seconds_total',
    'Time that vCPU threads were ready to run and did not, time throttled by limits included',
    (cpu) => cpu.waitSeconds,
  ),
  cpuCounter(
    'virtsla_cpu_throttled_seconds_total',
    'Time that vCPU groups were throttled by the limit set on them',
    (cpu) => cpu.throttledSeconds,
  ),
  cpuCounter(
    'virtsla_cpu_emulator_seconds_total',
    'CPU time used by all other threads of the guest: emulator and I/O, which no limit binds',
    (cpu) => cpu.emulatorSeconds,
  ),
  plain(
    'virtsla_cpu_guarantee_cores',
    'gauge',
    'Cores that the class guarantees to the guest, after cutting to its limit',
    (domain) => domain.guaranteedCores,
  ),
];
