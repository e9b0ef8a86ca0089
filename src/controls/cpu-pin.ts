/**
 * cpu.pin: the host CPUs on which the guest's vCPU threads may run; QEMU's own threads stay where they are. The kernel's
 * cpuset of each vCPU group is written, and libvirt is told, so that its view and the threads' affinity agree.
 * Sources: cgroup-v2.rst (cpuset.cpus), virDomainPinVcpuFlags.
 */
import { join } from 'node:path';
import type { Domain } from '../domains/types.js';
import { cpuList } from '../policy/value-types.js';
import { formatCpuList, parseCpuList } from '../units.js';
import {
  type Amount,
  type Control,
  type Desired,
  type Original,
  type Override,
  type Place,
  type Setting,
  told,
} from './control.js';
import { hasQuotaGroup, quotaGroups } from './quota-groups.js';

const FILE = 'cpuset.cpus';

export const cpuPin: Control = {
  id: 'cpu.pin',
  scope: 'domain',
  built: true,
  tellsApart: true,
  summary: 'Host CPUs on which the vCPU threads may run',
  keys: [
    {
      key: 'cpu.pin',
      schema: cpuList,
      summary: 'Host CPUs on which the vCPU threads may run',
      unit: 'CPU list',
      range: 'CPU numbers 0–8191 and ranges',
      example: '0-3,8',
    },
  ],
  metrics: [{ name: 'cpu_pinned_cpus', help: 'Host CPUs on which the vCPUs may run, +Inf without a pin', labels: [] }],

  desired(wanted, domain, host, { exists }): Desired {
    const asked = wanted.values.get('cpu.pin');
    if (asked === undefined) return { kind: 'unmanaged' };
    const cpus = asked.value as readonly number[];
    const missing = cpus.filter((cpu) => !host.cpus.includes(cpu));
    if (missing.length > 0) {
      const reason = `this host has the CPUs ${formatCpuList(host.cpus)}, not ${formatCpuList(missing)}`;
      return { kind: 'refused', reason, asked };
    }
    const text = formatCpuList(cpus);
    const settings = quotaGroups(domain).flatMap(({ prefix }): Setting[] => {
      const key = `${prefix}${FILE}`;
      const place = placeOf(key, domain);
      return place === null ? [] : [{ ...place, key, text }];
    });
    const [first] = settings;
    if (first === undefined || !exists(first)) {
      return { kind: 'unsupported', reason: domain.reasons.cpuset ?? 'its vCPUs have no cpuset groups', asked };
    }
    const notes =
      cpus.length < settings.length ? [`${settings.length} vCPUs share ${cpus.length} host CPUs of the pin`] : [];
    return { kind: 'set', asked, amounts: [amount(cpus.length)], display: `CPUs ${text}`, settings, notes };
  },

  place: (key, domain) => (hasQuotaGroup(key, domain) ? placeOf(key, domain) : null),

  amountsOf(texts) {
    const each = new Set([...texts.values()].map((text) => (text === null ? undefined : cpusOf(text)?.length)));
    const [first] = each;
    return first === undefined || each.size > 1 ? [] : [amount(first === 0 ? null : first)];
  },

  displayOf(texts) {
    const each = [...new Set(texts.values())];
    if (each.includes(null) || each.length === 0) return 'unreadable';
    return each.length === 1 ? (each[0] === '' ? 'all CPUs' : `CPUs ${each[0]}`) : `uneven: ${each.join(' and ')}`;
  },

  fromXml(key, { pins }, { facts }): Original {
    const pin = pins[vcpuOf(key) ?? -1] ?? facts?.hardware.cpuset;
    const cpus = pin == null ? null : cpusOf(pin);
    return cpus === null ? { text: '', from: 'default' } : { text: formatCpuList(cpus), from: 'xml' };
  },

  // A cpuset with threads in it cannot be emptied again (ENOSPC): all CPUs are the same to them.
  restoredAs: (original, { cpus }) => (original === '' ? formatCpuList(cpus) : original),

  tellFor(texts, domain) {
    if (domain.source !== 'libvirt') return null;
    const calls = [...texts].flatMap(([key, text]) => {
      const [cpus, vcpu] = [cpusOf(text), vcpuOf(key)];
      return cpus === null || cpus.length === 0 || vcpu === null ? [] : [{ call: 'pin' as const, vcpu, cpus }];
    });
    return calls.length === 0 ? null : told(calls);
  },

  overriddenBy(desired, _domain, { read }): Override | null {
    const first = desired.kind === 'set' ? desired.settings[0] : undefined;
    if (first === undefined) return null;
    // The groups above are the same for all vCPUs.
    const path = `${first.path}.effective`;
    const left = read({ path });
    if (left === null || left === '' || left === first.text) return null;
    return { reason: `the groups above it leave only the CPUs ${left}`, path };
  },
};

function placeOf(key: string, { groups }: Domain): Place | null {
  const vcpu = vcpuOf(key);
  if (groups.cpuset === undefined || vcpu === null) return null;
  return { path: join(groups.cpuset.domainDir, `vcpu${vcpu}`, FILE), writer: 'direct', depth: 1 };
}

function vcpuOf(key: string): number | null {
  const digits = /^vcpu(\d+)\/cpuset\.cpus$/.exec(key)?.[1];
  return digits === undefined ? null : Number(digits);
}

function cpusOf(text: string): readonly number[] | null {
  if (text === '') return [];
  const parsed = parseCpuList(text);
  return parsed.ok ? parsed.value : null;
}

function amount(value: number | null): Amount {
  return { metric: 'cpu_pinned_cpus', labels: {}, value };
}
