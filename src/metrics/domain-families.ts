/**
 * The families with series for each guest, as a table: name, help, and how to get the values from a domain's snapshot.
 * What depends on a control (desired and actual value) comes from the control registry.
 */
import type { Control } from '../controls/control.js';
import type { ControlSnapshot, CpuCounters, DomainSnapshot } from '../snapshot/types.js';
import { bit, type DomainFamily, single } from './family.js';
import { noncompliances } from './reasons.js';

/** All families of a guest, in the order in which they are shown. */
export function domainFamilies(controls: readonly Control[]): readonly DomainFamily[] {
  return [...GUEST, ...stateOfControls(controls), ...CPU, ...controls.flatMap(desiredAndActual)];
}

/** The guest exists as a process: it has counters, and limits that can hold. */
export function isActive(domain: DomainSnapshot): boolean {
  return domain.state !== 'shutoff' && domain.state !== 'crashed';
}

function isManaged(domain: DomainSnapshot): boolean {
  return domain.className !== null;
}

function plain(
  name: string,
  type: DomainFamily['type'],
  help: string,
  value: (...of: Parameters<DomainFamily['samples']>) => number | null,
): DomainFamily {
  return { name, help, type, labels: [], seriesMax: 1, samples: (domain, snapshot) => single(value(domain, snapshot)) };
}

const GUEST: readonly DomainFamily[] = [
  {
    name: 'virtsla_domain_info',
    help: 'Always 1; one series for each guest that virtslad sees, shut-off and unmanaged ones too',
    type: 'gauge',
    labels: ['state'],
    seriesMax: 1,
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

function stateOfControls(controls: readonly Control[]): readonly DomainFamily[] {
  const seriesMax = controls.length;
  return [
    {
      name: 'virtsla_control_noncompliant',
      help: 'Always 1; one series for each control of a guest that is not compliant, with a reason code',
      type: 'gauge',
      labels: ['control', 'reason'],
      seriesMax: seriesMax + 1,
      samples: (domain, snapshot) =>
        noncompliances(domain, snapshot).map(({ control, reason }) => ({ labels: [control, reason], value: 1 })),
    },
    {
      name: 'virtsla_control_contested',
      help: '1 while someone rewrites the value of the control again and again and virtslad backs off, else 0',
      type: 'gauge',
      labels: ['control'],
      seriesMax,
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
      seriesMax,
      samples: (domain) =>
        domain.controls
          .filter((control) => control.status === 'unsupported')
          .map((control) => ({ labels: [control.id], value: 1 })),
    },
  ];
}

function cpuCounter(name: string, help: string, of: (cpu: CpuCounters) => number): DomainFamily {
  return plain(name, 'counter', help, (domain) => (domain.cpu === null ? null : of(domain.cpu)));
}

const CPU: readonly DomainFamily[] = [
  cpuCounter('virtsla_cpu_used_seconds_total', 'CPU time used by the vCPU threads', (cpu) => cpu.usedSeconds),
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

/** Two families and not a label, so that sums over guests mean something. */
function desiredAndActual(control: Control): readonly DomainFamily[] {
  if (control.metric === undefined) return [];
  const { name, help } = control.metric;
  const family = (kind: 'desired' | 'actual', words: string, of: (found: ControlSnapshot) => number | null) =>
    plain(controlMetricName(name, kind), 'gauge', `${help}, ${words}`, (domain) => {
      const found = domain.controls.find(({ id }) => id === control.id);
      return found === undefined ? null : of(found);
    });
  return [family('desired', 'as the policy asks', desiredAmount), family('actual', 'as the kernel says', actualAmount)];
}

/** No limit is +Inf, and so can be compared. What cannot be had is not desired: no series. */
function desiredAmount({ status, desired, desiredAmount }: ControlSnapshot): number | null {
  if (status === 'unsupported' || status === 'refused' || desired === null) return null;
  return desiredAmount ?? Number.POSITIVE_INFINITY;
}

/** A value of which a part cannot be read is unknown: no series. */
function actualAmount({ settings, actualAmount }: ControlSnapshot): number | null {
  if (settings.length === 0 || settings.some(({ actual }) => actual === null)) return null;
  return actualAmount ?? Number.POSITIVE_INFINITY;
}

const UNITS = ['bytes_per_second', 'bytes', 'seconds', 'ratio', 'cores', 'iops'];

/** `cpu_limit_cores`, desired → `virtsla_cpu_limit_desired_cores`: the unit stays last. */
export function controlMetricName(name: string, kind: 'desired' | 'actual'): string {
  const unit = UNITS.find((candidate) => name.endsWith(`_${candidate}`));
  return unit === undefined ? `virtsla_${name}_${kind}` : `virtsla_${name.slice(0, -unit.length - 1)}_${kind}_${unit}`;
}
