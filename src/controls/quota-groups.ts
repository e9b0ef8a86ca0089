/**
 * The groups on which a guest's CPU time is limited: those of its vCPUs, so that QEMU's own threads are never throttled;
 * for a QEMU process that nobody has given vCPU groups, the one group that holds it. Pure.
 */
import { join } from 'node:path';
import type { Domain } from '../domains/types.js';
import type { Place } from './control.js';
import { onlineVcpus } from './guaranteed-cores.js';

export interface QuotaGroup {
  /** Before the file's name in a setting key: `vcpu0/`, or nothing. */
  readonly prefix: string;
  /** vCPUs that run in it. */
  readonly vcpus: number;
}

const WHOLE = '';

/** While the guest starts, also the vCPUs whose groups are still to come: their originals are recorded ahead of them. */
export function quotaGroups(domain: Domain): readonly QuotaGroup[] {
  const online = onlineVcpus(domain);
  const numbers =
    domain.state === 'starting'
      ? [...new Set([...domain.vcpuGroups, ...Array.from({ length: online }, (_, vcpu) => vcpu)])]
      : domain.vcpuGroups;
  if (numbers.length > 0) return numbers.map((vcpu) => ({ prefix: `vcpu${vcpu}/`, vcpus: 1 }));
  return domain.source === 'bare' && online > 0 ? [{ prefix: WHOLE, vcpus: online }] : [];
}

/** Where a file of such a group is: `vcpu0/cpu.max`, `cpu.max`. `depth`: of a vCPU's file; one less for the whole. */
export function quotaPlace(key: string, file: string, depth: number, domain: Domain): Place | null {
  const { cgroup } = domain;
  if (cgroup === null || !key.endsWith(file)) return null;
  const prefix = key.slice(0, -file.length);
  if (prefix === WHOLE) {
    const ours = !cgroup.systemdOwned || cgroup.domainDir !== cgroup.weightDir;
    return { path: join(cgroup.domainDir, file), writer: ours ? 'direct' : 'systemd', depth: depth - 1 };
  }
  if (!/^vcpu\d+\/$/.test(prefix)) return null;
  return { path: join(cgroup.domainDir, prefix, file), writer: 'direct', depth };
}

/** True when such a key is of a group that is there now. */
export function hasQuotaGroup(key: string, domain: Domain): boolean {
  const vcpu = /^vcpu(\d+)\//.exec(key)?.[1];
  return vcpu === undefined ? domain.vcpuGroups.length === 0 : domain.vcpuGroups.includes(Number(vcpu));
}
