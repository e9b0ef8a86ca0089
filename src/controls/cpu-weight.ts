/**
 * cpu.weight: the guest's share of CPU when its siblings want it too, on the scale of cgroup v2 (1–10000, 100 normal).
 * Given as a number, or worked out from the guarantee: 100 for each guaranteed core.
 * Sources: cgroup-v2.rst (cpu.weight), virDomainSetSchedulerParametersFlags (cpu_shares: libvirt converts nothing).
 */
import { basename, join } from 'node:path';
import type { Domain } from '../domains/types.js';
import { cpuWeight as weightSchema } from '../policy/value-types.js';
import { type Amount, type Control, type Desired, type Original, type Place, told } from './control.js';
import { guaranteedCores, onlineVcpus } from './guaranteed-cores.js';

export const NORMAL_WEIGHT = 100;
const [LEAST_WEIGHT, MOST_WEIGHT] = [1, 10_000];
/** 1024 shares of v1 are weight 100 of v2. */
const SHARES_PER_WEIGHT = 10.24;
/** The kernel's least cpu.shares (MIN_SHARES). */
const LEAST_SHARES = 2;

export const cpuWeight: Control = {
  id: 'cpu.weight',
  scope: 'domain',
  built: true,
  summary: 'Share of CPU under contention among the guests of the host',
  keys: [
    {
      key: 'cpu.weight',
      schema: weightSchema,
      summary: 'Share under contention; auto is 100 for each guaranteed core',
      unit: 'weight of cgroup v2, 100 normal',
      range: 'auto, or 1–10000',
      example: '200',
    },
  ],
  metrics: [{ name: 'cpu_weight', help: 'CPU weight on the scale of cgroup v2, 100 normal', labels: [] }],
  early: true,

  desired(wanted, domain): Desired {
    const given = wanted.values.get('cpu.weight');
    const guarantee = guaranteedCores(wanted, onlineVcpus(domain));
    const explicit = typeof given?.value === 'number' ? given.value : null;
    const asked = given ?? wanted.values.get('cpu.guarantee');
    if (asked === undefined) return { kind: 'unmanaged' };
    if (explicit === null && guarantee === null) {
      return { kind: 'refused', reason: 'weight auto needs a cpu.guarantee in the same class', asked };
    }
    const weight = explicit ?? autoWeight(guarantee?.cores ?? 0);
    const place = placeOf(domain);
    if (place === null) return { kind: 'unsupported', reason: domain.obstacle ?? 'it has no CPU cgroup', asked };
    const text = nativeText(weight, domain);
    const notes: string[] = [];
    if (explicit === null) notes.push(`auto: 100 × ${(guarantee?.cores ?? 0).toFixed(2)} guaranteed cores`);
    if (guarantee?.cut === true) notes.push('the guarantee is over the limit for this guest and was cut to it');
    return {
      kind: 'set',
      asked,
      askedKey: given === undefined ? 'cpu.guarantee' : 'cpu.weight',
      amounts: [amount(weight)],
      display: String(weight),
      settings: [{ ...place, key: 'cpu.weight', text }],
      notes,
    };
  },

  place: (key, domain) => (key === 'cpu.weight' ? placeOf(domain) : null),

  amountsOf(texts, domain) {
    const weight = weightOf(texts.get('cpu.weight') ?? null, domain);
    return weight === null ? [] : [amount(weight)];
  },

  displayOf(texts, domain) {
    const text = texts.get('cpu.weight') ?? null;
    const weight = weightOf(text, domain);
    if (weight === null) return 'unreadable';
    return domain.cgroup?.version === 1 ? `${weight} (${text} shares)` : String(weight);
  },

  fromXml(_key, { cpu }, domain): Original {
    if (cpu.shares !== undefined) return { text: String(cpu.shares), from: 'xml' };
    return { text: nativeText(NORMAL_WEIGHT, domain), from: 'default' };
  },

  tellFor(texts, domain) {
    const text = texts.get('cpu.weight');
    if (text === undefined || !/^\d{1,6}$/.test(text)) return null;
    if (domain.source === 'libvirt') return told([{ call: 'scheduler', parameters: { cpu_shares: BigInt(text) } }]);
    if (domain.cgroup?.systemdOwned !== true) return null;
    const unit = basename(domain.cgroup.weightDir);
    // systemd has one property for both versions, and rounds down to shares: the least weight that gives these.
    const weight = domain.cgroup.version === 1 ? Math.ceil(Number(text) / SHARES_PER_WEIGHT) : Number(text);
    const value = BigInt(Math.min(MOST_WEIGHT, Math.max(LEAST_WEIGHT, weight)));
    return { calls: [], units: [{ unit, properties: [{ name: 'CPUWeight', value }] }] };
  },
};

/** Weight that delivers this many cores while all weights sum to 100 × the host's cores. */
export function autoWeight(cores: number): number {
  return Math.min(MOST_WEIGHT, Math.max(LEAST_WEIGHT, Math.round(NORMAL_WEIGHT * cores)));
}

/** v1: cpu.shares, v2: cpu.weight; libvirt takes the same number, systemd the weight. */
export function nativeText(weight: number, domain: Domain): string {
  if (domain.cgroup?.version !== 1) return String(weight);
  return String(placeOf(domain)?.writer === 'systemd' ? Math.floor(weight * SHARES_PER_WEIGHT) : sharesOf(weight));
}

export function sharesOf(weight: number): number {
  return Math.max(LEAST_SHARES, Math.round(weight * SHARES_PER_WEIGHT));
}

/** Weight of what stands in the kernel, on the scale of v2, to two digits; null when unreadable. */
export function weightOf(text: string | null, domain: Domain): number | null {
  if (text === null || !/^\d+$/.test(text)) return null;
  if (domain.cgroup?.version !== 1) return Number(text);
  const exact = Number(text) / SHARES_PER_WEIGHT;
  const whole = Math.round(exact);
  // Shares are rounded, by us or by systemd: those that a whole weight gives are that weight.
  return Math.abs(whole * SHARES_PER_WEIGHT - Number(text)) < 1 ? whole : Number(exact.toFixed(2));
}

function amount(value: number): Amount {
  return { metric: 'cpu_weight', labels: {}, value };
}

function placeOf(domain: Domain): Place | null {
  const { cgroup } = domain;
  if (cgroup === null) return null;
  const path = join(cgroup.weightDir, cgroup.version === 1 ? 'cpu.shares' : 'cpu.weight');
  // systemd owns the scope: a value written behind its back is undone by the next daemon-reload.
  if (!cgroup.systemdOwned) return { path, writer: 'direct', depth: 0 };
  return { path, writer: domain.source === 'libvirt' ? 'libvirt' : 'systemd', depth: 0 };
}
