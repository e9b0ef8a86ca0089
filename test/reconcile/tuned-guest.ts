/**
 * A guest with everything that can be tuned, on any layout, as plain data: its kernel values, QEMU's throttles, taps and
 * libvirt's XML; what libvirt and systemd do to them when they are told; and what happens to guests behind our back.
 * Breaks as the kernel does: v1's memory over memory and swap, a burst over its quota, a cpuset emptied under threads.
 */
import assert from 'node:assert/strict';
import { basename, join } from 'node:path';
import type { Setting, Sight, Tell, UnitProperties } from '../../src/controls/control.js';
import { CONTROLS } from '../../src/controls/registry.js';
import type { Address, DiskDevice, Domain, HostDevice, InterfaceDevice, Tuning } from '../../src/domains/types.js';
import type { TuneCall } from '../../src/host/libvirt/client.js';
import type { EffectiveClass } from '../../src/policy/types.js';
import type { JournalRecord } from '../../src/reconcile/journal-format.js';
import { orderWrites, widens } from '../../src/reconcile/order.js';
import { formatOriginalsXml } from '../../src/reconcile/originals-xml.js';
import { type DomainPlan, planDomain } from '../../src/reconcile/plan.js';
import type { Why } from '../../src/reconcile/types.js';
import { formatBandwidth } from '../../src/text/bandwidth.js';
import { coresAllowed, parseCpuMax } from '../../src/text/cpu-max.js';
import { formatDiskThrottle } from '../../src/text/disk-throttle.js';
import { formatIoMax, NO_IO_LIMIT } from '../../src/text/io-max.js';
import { formatCpuList } from '../../src/units.js';
import { GIB, guestOn, HOST, type Layout } from '../controls/some-guest.js';
import { applyTune } from '../fakes/fake-tuning.js';

const ALL_CPUS = formatCpuList(HOST.cpus);
const UNLIMITED_KIB = 9_007_199_254_740_991n;
const DISKS_OF_HOST: Readonly<Record<string, HostDevice>> = {
  vda: { ok: true, disks: [{ device: '8:0', name: 'sda', weightsKeptBy: 'bfq' }], notes: [] },
  vdb: { ok: true, disks: [{ device: '8:16', name: 'sdb', weightsKeptBy: null }], notes: [] },
};
const DEVICES = new Map([
  ['/dev/sda', '8:0'],
  ['/dev/sdb', '8:16'],
]);
const UNIT_FILES: Readonly<Record<string, string>> = {
  MemoryMin: 'memory.min',
  MemoryLow: 'memory.low',
  MemoryHigh: 'memory.high',
  MemoryMax: 'memory.max',
  MemorySwapMax: 'memory.swap.max',
};

export class TunedGuest {
  readonly layout: Layout;
  readonly #kernel = new Map<string, string>();
  readonly journal = new Map<string, JournalRecord>();
  #live: Tuning;
  #id = 1;
  #vcpus: number;
  #memoryBytes = GIB;
  #vfio = false;
  #originalsXml: string | null = null;

  constructor(layout: Layout, vcpus: number, definition: Tuning) {
    this.layout = layout;
    this.#vcpus = vcpus;
    this.#live = definition;
    this.start(definition);
  }

  get #bare(): boolean {
    return this.layout.startsWith('bare');
  }

  get domain(): Domain {
    const { tuning, ...options } = {
      id: this.#id,
      vcpus: this.#vcpus,
      hardware: { memoryBytes: this.#memoryBytes, vfio: this.#vfio },
      tuning: this.#bare ? { disks: this.#live.disks } : this.#live,
      hostDevices: DISKS_OF_HOST,
      security: null,
    };
    return guestOn(this.layout, { ...options, tuning, facts: { originalsXml: this.#originalsXml } });
  }

  readonly sight: Sight = {
    read: (address) => this.#read(address),
    exists: (address) => this.#read(address) !== null,
    problem: () => null,
  };

  // What happens to it.

  /** A new instance whose groups libvirt has filled from this XML. */
  start(tuning: Tuning, originalsXml: string | null = null): void {
    this.#id++;
    this.#live = tuning;
    this.#originalsXml = originalsXml;
    this.#vfio = false;
    this.#kernel.clear();
    const { cpu, memory, blkio } = tuning;
    const { cgroup, groups } = this.domain;
    const [io, ram] = [groups.io, groups.memory];
    assert.ok(cgroup !== null && io !== undefined && ram !== undefined);
    const kib = (value: number | undefined) => (value === undefined ? 'max' : String(value * 1024));
    if (cgroup.version === 1) this.#put(cgroup.weightDir, 'cpu.shares', String(cpu.shares ?? 1024));
    else this.#put(cgroup.weightDir, 'cpu.weight', String(cpu.shares ?? 100));
    this.#put(cgroup.domainDir, 'cpu.max', 'max 100000');
    this.#put(cgroup.domainDir, 'cpu.max.burst', '0');
    if (!this.#bare) for (let vcpu = 0; vcpu < this.#vcpus; vcpu++) this.#makeVcpu(vcpu);
    this.#put(ram.domainDir, 'memory.max', kib(memory.hardLimitKib));
    for (const file of ['memory.peak', 'memory.current']) this.#put(ram.domainDir, file, String(GIB / 2));
    if (ram.version === 1) this.#put(ram.domainDir, 'memory.memsw.max', kib(memory.swapHardLimitKib));
    else {
      this.#put(ram.domainDir, 'memory.high', kib(memory.softLimitKib));
      this.#put(ram.domainDir, 'memory.swap.max', kib(memory.swapHardLimitKib));
      for (const directory of [ram.domainDir, ram.weightDir]) {
        for (const file of ['memory.low', 'memory.min']) this.#put(directory, file, '0');
      }
    }
    for (const device of DEVICES.values()) this.#put(io.domainDir, 'io.max', NO_IO_LIMIT, device);
    for (const { path, ...one } of blkio.devices) {
      const text = formatIoMax({
        readBytes: one.readBytesPerSecond ?? null,
        writeBytes: one.writeBytesPerSecond ?? null,
        readOperations: one.readOperationsPerSecond ?? null,
        writeOperations: one.writeOperationsPerSecond ?? null,
      });
      this.#put(io.domainDir, 'io.max', text, DEVICES.get(path));
    }
    if (io.version === 2) this.#put(io.weightDir, 'io.weight', '100');
    this.#put(io.weightDir, 'io.bfq.weight', '100');
    if (blkio.weight !== undefined) this.#setDiskWeight(blkio.weight);
  }

  /** libvirt makes the groups anew from what it was told. */
  saveAndRestore(): void {
    this.start(this.#live, this.#bare ? null : formatOriginalsXml([...this.journal.values()]));
  }

  plugVcpu(): void {
    if (this.#bare) return;
    this.#vcpus++;
    this.#makeVcpu(this.#vcpus - 1);
  }

  plugMemory(): void {
    this.#memoryBytes += GIB;
  }

  plugDevice(): void {
    this.#vfio = true;
  }

  plug(device: { readonly disk: DiskDevice } | { readonly interface: InterfaceDevice }): void {
    const { disks, interfaces } = this.#live;
    if ('disk' in device) {
      const others = disks.filter(({ target }) => target !== device.disk.target);
      this.#live = { ...this.#live, disks: [...others, device.disk] };
    } else {
      const others = interfaces.filter(({ mac }) => mac !== device.interface.mac);
      this.#live = { ...this.#live, interfaces: [...others, device.interface] };
    }
  }

  unplug(target: string): void {
    this.#live = { ...this.#live, disks: this.#live.disks.filter((disk) => disk.target !== target) };
  }

  /** Somebody limits a disk in one more way. */
  limitWrites(operations: number): void {
    const disks = this.#live.disks.map((disk) => {
      const { fields, group } = disk.throttle;
      return { ...disk, throttle: { fields: { ...fields, write_iops_sec: operations }, group } };
    });
    this.#live = { ...this.#live, disks };
  }

  // What we do to it.

  plan(effective: EffectiveClass | null, occasion: Why = 'policy'): DomainPlan {
    return planDomain({
      domain: this.domain,
      effective,
      host: HOST,
      controls: CONTROLS,
      sight: this.sight,
      record: (control) => this.journal.get(control) ?? null,
      baselineUnknown: false,
      mayAdopt: true,
      unsettled: () => false,
      held: () => false,
      occasion,
    });
  }

  /** As cycles do it, until one has nothing to do. */
  settle(effective: EffectiveClass | null, occasion: Why = 'policy'): void {
    for (let round = 0; round < 8; round++) if (!this.#cycle(effective, occasion)) return;
    const { controls } = this.plan(effective, occasion);
    const busy = controls.map(({ control, writes, tell, record }) => ({ id: control.id, writes, tell, record }));
    assert.fail(
      `never at rest: ${show(busy.filter(({ writes, tell, record }) => writes.length > 0 || tell || record))}`,
    );
  }

  /** Gives whether anything was done. */
  #cycle(effective: EffectiveClass | null, occasion: Why): boolean {
    let busy = false;
    for (const { record, control } of this.plan(effective, occasion).controls) {
      if (record === null) continue;
      this.journal.set(control.id, record);
      busy = true;
    }
    const { controls } = this.plan(effective, occasion);
    const due = controls.flatMap(({ control, writes }) =>
      writes.map((one) => ({ ...one, widens: widens(one.from, one.text, control.allows) })),
    );
    const tells = controls.flatMap(({ tell }) => (tell === null ? [] : [tell]));
    for (const write of orderWrites(due.filter(({ writer }) => writer === 'direct'))) this.#write(write);
    this.#tellAll(tells);
    for (const { tell, forget, control } of controls) if (forget && tell === null) this.journal.delete(control.id);
    if (!this.#bare) this.#originalsXml = formatOriginalsXml([...this.journal.values()]);
    return busy || due.length > 0 || tells.length > 0 || controls.some(({ forget }) => forget);
  }

  /** What is refused is tried again when something else was done, as the teller does. */
  #tellAll(tells: readonly Tell[]): void {
    let left = [...tells];
    while (left.length > 0) {
      const refused = left.filter((tell) => !this.#told(tell));
      if (refused.length === left.length) assert.fail(`refused: ${show(refused)}`);
      left = refused;
    }
  }

  #told({ calls, units }: Tell): boolean {
    assert.ok(calls.length + units.length > 0, 'told nothing');
    assert.ok(!this.#bare || calls.length === 0, 'libvirt does not run it');
    for (const call of calls) if (!this.#called(call)) return false;
    for (const unit of units) this.#setUnit(unit);
    return true;
  }

  #called(call: TuneCall): boolean {
    const { cgroup, groups } = this.domain;
    const memory = groups.memory?.domainDir ?? '';
    if (call.call === 'memory' && groups.memory?.version === 1) {
      const { hard_limit, swap_hard_limit } = call.parameters;
      const now = (file: string) => Number((this.#kernel.get(join(memory, file)) ?? '').replace('max', 'Infinity'));
      const asked = (kib: bigint | undefined, file: string) =>
        kib === undefined ? now(file) : kib === UNLIMITED_KIB ? Number.POSITIVE_INFINITY : Number(kib) * 1024;
      if (asked(hard_limit, 'memory.max') > asked(swap_hard_limit, 'memory.memsw.max')) return false;
    }
    const tuned = applyTune(this.#live, this.#vcpus, call);
    assert.ok(tuned.ok, tuned.ok ? '' : tuned.message);
    this.#live = tuned.tuning;
    if (call.call === 'scheduler') {
      const { cpu_shares } = call.parameters;
      const file = cgroup?.version === 1 ? 'cpu.shares' : 'cpu.weight';
      if (cpu_shares !== undefined) this.#put(cgroup?.weightDir ?? '', file, String(cpu_shares));
      for (let vcpu = 0; vcpu < this.#vcpus; vcpu++) this.#put(this.#vcpuDir(vcpu), 'cpu.max', this.#quotaByXml());
    }
    if (call.call === 'memory') {
      const version = groups.memory?.version;
      const files = {
        hard_limit: 'memory.max',
        soft_limit: 'memory.high',
        swap_hard_limit: version === 1 ? 'memory.memsw.max' : 'memory.swap.max',
      };
      for (const [name, kib] of Object.entries(call.parameters) as [keyof typeof files, bigint][]) {
        this.#put(memory, files[name], kib === UNLIMITED_KIB ? 'max' : String(kib * 1024n));
      }
    }
    if (call.call === 'pin') this.#put(this.#cpusetDir(call.vcpu), 'cpuset.cpus', formatCpuList(call.cpus));
    if (call.call === 'blkio') {
      const { weight, ...lists } = call.parameters;
      if (weight !== undefined) this.#setDiskWeight(weight);
      const devices = Object.values(lists).map((list) => list.split(',')[0]);
      const [path] = devices;
      if (path === undefined) return true;
      const amount = (list: string | undefined) => {
        const number = Number(list?.split(',')[1] ?? 0);
        return number === 0 ? 'max' : number;
      };
      const text = `rbps=${amount(lists.device_read_bytes_sec)} wbps=${amount(lists.device_write_bytes_sec)} riops=${amount(lists.device_read_iops_sec)} wiops=${amount(lists.device_write_iops_sec)}`;
      this.#put(groups.io?.domainDir ?? '', 'io.max', text, DEVICES.get(path));
    }
    return true;
  }

  #setUnit({ unit, properties }: UnitProperties): void {
    const { cgroup, groups } = this.domain;
    assert.equal(unit, basename(cgroup?.weightDir ?? ''));
    for (const { name, value } of properties) {
      const file = UNIT_FILES[name];
      const text = value === 2n ** 64n - 1n ? 'max' : String(value);
      if (file !== undefined) this.#put(groups.memory?.weightDir ?? '', file, text);
      else if (name === 'IOWeight') this.#setDiskWeight(Number(value));
      else if (name === 'CPUWeight' && cgroup?.version === 1) {
        this.#put(cgroup.weightDir, 'cpu.shares', String((value * 1024n) / 100n));
      } else if (name === 'CPUWeight') this.#put(cgroup?.weightDir ?? '', 'cpu.weight', text);
      else {
        assert.ok(text === 'max' || value % 10_000n === 0n, 'a drop-in has whole percents');
        this.#put(cgroup?.weightDir ?? '', 'cpu.max', `${text === 'max' ? text : value / 10n} 100000`);
      }
    }
  }

  /** Everything that binds the guest. A pin to all CPUs is none. */
  values(): Record<string, string> {
    const { cgroup, groups } = this.domain;
    const name = basename(cgroup?.weightDir ?? '');
    const kernel = [...this.#kernel].map(([path, text]) => [
      path.replace(name, 'guest'),
      path.includes('cpuset.cpus') && text === '' ? ALL_CPUS : text,
    ]);
    assert.ok(groups.memory !== undefined);
    const { disks, interfaces } = this.#live;
    return Object.fromEntries([
      ...kernel,
      ...disks.map(({ target, throttle }) => [target, formatDiskThrottle(throttle)]),
      ...interfaces.map(({ mac, inbound, outbound }) => [
        mac,
        `${formatBandwidth(inbound)}|${formatBandwidth(outbound)}`,
      ]),
    ]);
  }

  #read({ path, device }: Address): string | null {
    const { disks, interfaces } = this.#live;
    if (path.startsWith('qemu:')) {
      const disk = disks.find(({ target }) => `qemu:${target}` === path);
      return disk === undefined ? null : formatDiskThrottle(disk.throttle);
    }
    const one = interfaces.find((other) => path.startsWith(`tap:${other.device}/`));
    if (one !== undefined) return formatBandwidth(path.endsWith('/in') ? one.inbound : one.outbound);
    return this.#kernel.get(device === undefined ? path : `${path} ${device}`) ?? null;
  }

  #write({ path, device, text }: Setting): void {
    const at = device === undefined ? path : `${path} ${device}`;
    const before = this.#kernel.get(at);
    assert.ok(before !== undefined, `no such file: ${at}`);
    if (path.endsWith('cpuset.cpus')) assert.ok(text !== '' || before === '', 'ENOSPC: a cpuset with threads in it');
    this.#kernel.set(at, text);
    const bytes = (file: string) =>
      Number((this.#kernel.get(path.replace(/[^/]+$/, file)) ?? 'max').replace('max', 'Infinity'));
    if (this.layout.includes('v1') && /memory\.(?:max|memsw\.max)$/.test(path)) {
      assert.ok(bytes('memory.max') <= bytes('memory.memsw.max'), 'EINVAL: memory over memory and swap');
    }
    if (/cpu\.max(?:\.burst)?$/.test(path)) {
      const quota = parseCpuMax(this.#kernel.get(path.replace(/\.burst$/, '')) ?? '')?.quotaUsec ?? null;
      const burst = Number(this.#kernel.get(`${path.replace(/\.burst$/, '')}.burst`));
      assert.ok(quota === null || burst <= quota, 'EINVAL: a burst over its quota');
    }
    if (path.endsWith('cpu.max')) assert.ok((coresAllowed(text) ?? 0) >= 0.01, 'EINVAL: a quota under 1 ms');
  }

  #put(directory: string, file: string, text: string, device?: string): void {
    this.#kernel.set(`${join(directory, file)}${device === undefined ? '' : ` ${device}`}`, text);
  }

  #makeVcpu(vcpu: number): void {
    this.#put(this.#vcpuDir(vcpu), 'cpu.max', this.#quotaByXml());
    this.#put(this.#vcpuDir(vcpu), 'cpu.max.burst', '0');
    const unpinned = this.layout.includes('v1') ? ALL_CPUS : '';
    this.#put(this.#cpusetDir(vcpu), 'cpuset.cpus', this.#live.pins[vcpu] ?? unpinned);
  }

  /** systemd's one property is both files; without it libvirt writes BFQ's. */
  #setDiskWeight(weight: number): void {
    const { io } = this.domain.groups;
    const directory = io?.weightDir ?? '';
    const bfq = weight <= 100 ? weight : 100 + Math.floor(((weight - 100) * 900) / 9900);
    if (io?.systemdOwned && io.version === 2) this.#put(directory, 'io.weight', String(weight));
    this.#put(directory, 'io.bfq.weight', String(io?.systemdOwned ? bfq : weight));
  }

  #vcpuDir(vcpu: number): string {
    return join(this.domain.cgroup?.domainDir ?? '', `vcpu${vcpu}`);
  }

  #cpusetDir(vcpu: number): string {
    return join(this.domain.groups.cpuset?.domainDir ?? '', `vcpu${vcpu}`);
  }

  #quotaByXml(): string {
    const { vcpuQuotaUsec = -1, vcpuPeriodUsec = 100_000 } = this.#live.cpu;
    return `${vcpuQuotaUsec > 0 ? vcpuQuotaUsec : 'max'} ${vcpuPeriodUsec}`;
  }
}

function show(value: unknown): string {
  return JSON.stringify(value, (_key, one: unknown) => (typeof one === 'bigint' ? String(one) : one), 1);
}
