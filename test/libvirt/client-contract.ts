/**
 * What every LibvirtClient has to do, whether on a real libvirtd or in memory: a suite that takes a world with one
 * guest and the hands to change it from outside, as virsh would.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  type DiskThrottle,
  type DomainSeclabel,
  THROTTLE_FIELDS,
  type ThrottleField,
  type Tuning,
} from '../../src/domains/types.js';
import type {
  LibvirtClient,
  LibvirtEvent,
  LibvirtOutcome,
  SchedulerParameters,
  TuneCall,
} from '../../src/host/libvirt/client.js';
import { MEMORY_UNLIMITED_KIB } from '../../src/host/libvirt/client.js';
import { formatBandwidth } from '../../src/text/bandwidth.js';
import { formatDiskThrottle, NO_THROTTLE } from '../../src/text/disk-throttle.js';

/**
 * One persistent guest of two vCPUs, 16 MiB, shares 512, quota 50000 and metadata `<app:role xmlns:app="urn:x" name="db"/>`.
 * Disks: vda without a throttle; vdb and vdc with 500 requests a second together, group `pair`; hdc, a CD-ROM drive without
 * a medium. Interfaces: MAC[0] of type ethernet with 1000 kB/s inbound, MAC[1] of type user.
 */
export interface ContractWorld {
  readonly client: LibvirtClient;
  readonly uuid: string;
  readonly name: string;
  /** The guest runs when the suite begins. */
  startGuest(): unknown;
  stopGuest(): unknown;
  suspendGuest(): unknown;
  resumeGuest(): unknown;
  /** Someone else sets parameters of the running guest. */
  schedinfo(parameters: SchedulerParameters): unknown;
  /** Someone else limits a disk, with virsh's words for the fields: `--read-iops-sec 500`. */
  blkdeviotune(disk: string, field: ThrottleField, value: number): unknown;
  /** Hot plug of a disk, and of an interface of type user. */
  plugDisk(target: string): unknown;
  unplugDisk(target: string): unknown;
  plugInterface(mac: string): unknown;
  unplugInterface(mac: string): unknown;
  /** Our originals, as someone else sees them. */
  originals(): Promise<string | null>;
}

const ORIGINALS = '<originals version="1"><knob name="cpu.max">max &amp; 100000</knob></originals>';
export const MAC = ['52:54:00:aa:00:01', '52:54:00:aa:00:02'] as const;
const PLUGGED_MAC = '52:54:00:aa:00:03';
const NOBODY = '00000000-0000-4000-8000-000000000000';

export function clientContract(title: string, open: () => ContractWorld): void {
  describe(title, () => {
    let world: ContractWorld;
    let client: LibvirtClient;
    const events: LibvirtEvent[] = [];

    before(async () => {
      world = open();
      client = world.client;
      client.onEvent((event) => events.push(event));
      await client.start(new AbortController().signal);
    });
    after(() => client?.stop());

    /** The next event of ours that `wanted` accepts; events that came before are not looked at. */
    async function eventAfter<T extends LibvirtEvent>(
      action: () => unknown,
      wanted: (event: LibvirtEvent) => event is T,
    ): Promise<T> {
      const from = events.length;
      await action();
      for (let waitedMs = 0; waitedMs < 10_000; waitedMs += 10) {
        const found = events.slice(from).find(wanted);
        if (found !== undefined) return found;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      return assert.fail(`no such event; seen: ${JSON.stringify(events.slice(from))}`);
    }

    const lifecycle =
      (kind: string) =>
      (event: LibvirtEvent): event is Extract<LibvirtEvent, { kind: 'lifecycle' }> =>
        event.kind === 'lifecycle' && event.uuid === world.uuid && event.event === kind;
    const ours =
      <K extends 'tunable' | 'metadata' | 'device'>(kind: K) =>
      (event: LibvirtEvent): event is Extract<LibvirtEvent, { kind: K }> =>
        event.kind === kind && event.uuid === world.uuid;

    async function runningId(): Promise<number> {
      return value(await client.facts(world.uuid)).id ?? assert.fail('the guest does not run');
    }

    function scheduler(id: number, parameters: SchedulerParameters): Promise<LibvirtOutcome<null>> {
      return client.tune(world.uuid, id, [{ call: 'scheduler', parameters }]);
    }

    async function tune(...calls: TuneCall[]): Promise<void> {
      assert.deepEqual(await client.tune(world.uuid, await runningId(), calls), { ok: true, value: null });
    }

    async function tuning(): Promise<Tuning> {
      return value(await client.facts(world.uuid)).tuning;
    }

    /** Target → throttle as text, by the XML and by QEMU, which have to agree. */
    async function throttles(): Promise<Record<string, string>> {
      const { disks } = await tuning();
      const readings = value(await client.disks(world.uuid, await runningId()));
      assert.deepEqual(
        readings.map(({ target }) => target),
        disks.map(({ target }) => target),
      );
      return Object.fromEntries(
        disks.map(({ target, throttle, empty }, index) => {
          const reading = readings[index];
          const text = formatDiskThrottle(throttle);
          if (empty) assert.equal(reading?.throttle, null);
          else assert.equal(formatDiskThrottle(reading?.throttle ?? assert.fail(`no throttle of ${target}`)), text);
          return [target, text];
        }),
      );
    }

    /** All that is announced until `count` different parameters have been. */
    async function announced(count: number, action: () => unknown): Promise<Record<string, string>> {
      const seen: Record<string, string> = {};
      await eventAfter(action, (event): event is LibvirtEvent => {
        if (ours('tunable')(event)) Object.assign(seen, event.parameters);
        return Object.keys(seen).length >= count;
      });
      return seen;
    }

    async function interfaceNow(mac: string) {
      return (await tuning()).interfaces.find((device) => device.mac === mac) ?? assert.fail(`no interface ${mac}`);
    }

    it('says that it is connected', () => {
      const status = client.status();
      assert.equal(status.connected, true);
      assert.match(status.libraryVersion ?? '', /^\d+\.\d+\.\d+$/);
      assert.match(status.daemonVersion ?? '', /^\d+\.\d+\.\d+$/);
      assert.equal(status.lastError, null);
      assert.deepEqual(
        events.filter(({ kind }) => kind === 'connected'),
        [{ kind: 'connected' }],
      );
    });

    it('lists the guest', async () => {
      const listed = value(await client.list()).find(({ uuid }) => uuid === world.uuid);
      assert.ok(listed);
      assert.deepEqual(listed, {
        uuid: world.uuid,
        name: world.name,
        id: await runningId(),
        state: 'running',
        persistent: true,
      });
    });

    it('reads its facts', async () => {
      const facts = value(await client.facts(world.uuid));
      assert.equal(facts.name, world.name);
      assert.equal(facts.uuid, world.uuid);
      assert.equal(facts.state, 'running');
      assert.equal(facts.persistent, true);
      assert.equal(facts.vcpusOnline, 2);
      assert.equal(facts.vcpusMax, 2);
      assert.equal(facts.tuning.cpu.shares, 512);
      assert.equal(facts.tuning.cpu.vcpuQuotaUsec, 50_000);
      assert.equal(facts.definition?.cpu.shares, 512);
      assert.equal(facts.metadata.length, 1);
      assert.equal(facts.metadata[0]?.name, 'app:role');
      assert.equal(facts.metadata[0]?.attributes.name, 'db');
      assert.equal(facts.originalsXml, null);
    });

    it('answers calls made at once', async () => {
      const outcomes = await Promise.all([
        client.list(),
        client.list(),
        client.facts(world.uuid),
        client.facts(world.uuid),
        client.facts(NOBODY),
      ]);
      assert.deepEqual(
        outcomes.map((outcome) => (outcome.ok ? 'ok' : outcome.failure)),
        ['ok', 'ok', 'ok', 'ok', 'vanished'],
      );
    });

    it('sets scheduler parameters live, tells of it, and leaves the definition alone', async () => {
      const id = await runningId();
      const parameters = { cpu_shares: 2048n, vcpu_period: 50_000n, vcpu_quota: 20_000n };
      const seen = await announced(3, async () =>
        assert.deepEqual(await scheduler(id, parameters), { ok: true, value: null }),
      );
      assert.deepEqual(seen, {
        'cputune.cpu_shares': '2048',
        'cputune.vcpu_period': '50000',
        'cputune.vcpu_quota': '20000',
      });
      const facts = value(await client.facts(world.uuid));
      assert.equal(facts.tuning.cpu.shares, 2048);
      assert.equal(facts.tuning.cpu.vcpuPeriodUsec, 50_000);
      assert.equal(facts.tuning.cpu.vcpuQuotaUsec, 20_000);
      assert.equal(facts.definition?.cpu.shares, 512);
      assert.equal(facts.definition?.cpu.vcpuQuotaUsec, 50_000);
    });

    it('takes a quota off with a negative one', async () => {
      const id = await runningId();
      assert.equal((await scheduler(id, { vcpu_quota: -1n })).ok, true);
      assert.equal(value(await client.facts(world.uuid)).tuning.cpu.vcpuQuotaUsec, -1);
    });

    it('tells when someone else sets a parameter', async () => {
      const event = await eventAfter(() => world.schedinfo({ vcpu_quota: 30_000n }), ours('tunable'));
      assert.equal(event.parameters['cputune.vcpu_quota'], '30000');
    });

    it('reads devices and hardware', async () => {
      const { hardware, tuning: live, definition } = value(await client.facts(world.uuid));
      const { arch, memoryBytes, currentMemoryBytes, ...others } = hardware;
      assert.deepEqual([arch, memoryBytes, currentMemoryBytes], ['x86_64', 16 * 1024 ** 2, 16 * 1024 ** 2]);
      assert.deepEqual(others, {
        locked: false,
        hugepages: false,
        vfio: false,
        ioThreads: 0,
        videos: 0,
        tpm: false,
        encrypted: false,
        unmerged: false,
        cpuset: null,
        vhostUser: false,
        invtsc: false,
      });
      assert.deepEqual(
        live.disks.map(({ target, device, sourceType, empty, readOnly }) => [
          target,
          device,
          sourceType,
          empty,
          readOnly,
        ]),
        [
          ['vda', 'disk', 'file', false, false],
          ['vdb', 'disk', 'file', false, false],
          ['vdc', 'disk', 'file', false, false],
          ['hdc', 'cdrom', 'file', true, true],
        ],
      );
      for (const { empty, path } of live.disks) assert.equal(path === null, empty);
      assert.deepEqual(
        live.interfaces.map(({ mac, type, inbound, outbound }) => [mac, type, inbound, outbound]),
        [
          [MAC[0], 'ethernet', { averageKbytes: 1000 }, null],
          [MAC[1], 'user', null, null],
        ],
      );
      assert.match(live.interfaces[0]?.device ?? '', /^vnet\d+$/);
      assert.equal(live.interfaces[1]?.device, null);
      assert.ok(definition);
      assert.deepEqual(definition.disks, live.disks);
      assert.deepEqual(
        definition.interfaces,
        live.interfaces.map((device) => ({ ...device, device: null })),
      );
      assert.deepEqual([live.memory, live.blkio, live.pins], [{}, { devices: [] }, {}]);
    });

    it('makes nothing of no calls', async () => {
      assert.deepEqual(await client.tune(world.uuid, await runningId(), []), { ok: true, value: null });
    });

    it('throttles a disk, tells of every field, and leaves the definition alone', async () => {
      const fields = { read_iops_sec: 500, write_iops_sec: 200, read_iops_sec_max: 900, read_iops_sec_max_length: 60 };
      const throttle: DiskThrottle = { fields, group: null };
      const seen = await announced(20, () => tune({ call: 'throttle', disk: 'vda', throttle }));
      assert.equal(seen['blkdeviotune.disk'], 'vda');
      for (const name of THROTTLE_FIELDS) {
        assert.equal(seen[`blkdeviotune.${name}`], String(fields[name as keyof typeof fields] ?? 0));
      }
      assert.equal((await throttles()).vda, formatDiskThrottle(throttle));
      const { definition } = value(await client.facts(world.uuid));
      assert.deepEqual(definition?.disks[0]?.throttle, NO_THROTTLE);

      const bytes: DiskThrottle = { fields: { total_bytes_sec: 1_000_000 }, group: null };
      await tune({ call: 'throttle', disk: 'vda', throttle: bytes });
      assert.equal((await throttles()).vda, 'total_bytes_sec=1000000', 'what is not given is taken off');
      await tune({ call: 'throttle', disk: 'vda', throttle: NO_THROTTLE });
      assert.equal((await throttles()).vda, 'none');
    });

    it('tells when someone else throttles a disk', async () => {
      const event = await eventAfter(() => world.blkdeviotune('vda', 'read_iops_sec', 321), ours('tunable'));
      assert.equal(event.parameters['blkdeviotune.disk'], 'vda');
      assert.equal(event.parameters['blkdeviotune.read_iops_sec'], '321');
      assert.equal((await throttles()).vda, 'read_iops_sec=321');
      await tune({ call: 'throttle', disk: 'vda', throttle: NO_THROTTLE });
    });

    it('takes a disk out of a group, and back into it', async () => {
      const pair: DiskThrottle = { fields: { total_iops_sec: 500 }, group: 'pair' };
      const before = await throttles();
      assert.deepEqual(before, {
        vda: 'none',
        vdb: formatDiskThrottle(pair),
        vdc: formatDiskThrottle(pair),
        hdc: 'none',
      });
      const own: DiskThrottle = { fields: { total_iops_sec: 100 }, group: null };
      await tune({ call: 'throttle', disk: 'vdb', throttle: own });
      assert.deepEqual(await throttles(), { ...before, vdb: 'total_iops_sec=100' });
      const wider: DiskThrottle = { ...pair, fields: { total_iops_sec: 700 } };
      const seen = await announced(21, () => tune({ call: 'throttle', disk: 'vdb', throttle: wider }));
      assert.equal(seen['blkdeviotune.group_name'], 'pair');
      const text = formatDiskThrottle(wider);
      assert.deepEqual(
        await throttles(),
        { ...before, vdb: text, vdc: text },
        'a group has one limit for all its disks',
      );
      await tune({ call: 'throttle', disk: 'vdc', throttle: NO_THROTTLE });
      assert.deepEqual(await throttles(), { ...before, vdb: text, vdc: 'none' });
      for (const disk of ['vdb', 'vdc']) await tune({ call: 'throttle', disk, throttle: pair });
      assert.deepEqual(await throttles(), before);
    });

    it('counts what disks do', async () => {
      const readings = value(await client.disks(world.uuid, await runningId()));
      assert.deepEqual(
        readings.map(({ target }) => target),
        ['vda', 'vdb', 'vdc', 'hdc'],
      );
      for (const { counters } of readings) {
        assert.ok(counters);
        for (const counter of Object.values(counters)) assert.equal(typeof counter, 'bigint');
      }
      const [cdrom] = readings.slice(-1);
      assert.equal(cdrom?.throttle, null);
      assert.match(cdrom?.throttleProblem ?? '', /block_io_throttle/);
    });

    it('limits memory and takes the limit off', async () => {
      const parameters = { hard_limit: 400_000n, soft_limit: 300_000n };
      await tune({ call: 'memory', parameters });
      assert.deepEqual((await tuning()).memory, { hardLimitKib: 400_000, softLimitKib: 300_000 });
      await tune({
        call: 'memory',
        parameters: { hard_limit: MEMORY_UNLIMITED_KIB, soft_limit: MEMORY_UNLIMITED_KIB },
      });
      assert.deepEqual((await tuning()).memory, {});
    });

    it('limits an interface in both directions, one or none', async () => {
      const { device } = await interfaceNow(MAC[0]);
      assert.ok(device);
      const texts = async () => {
        const { inbound, outbound } = await interfaceNow(MAC[0]);
        return [formatBandwidth(inbound), formatBandwidth(outbound)];
      };
      const rate = { averageKbytes: 200, peakKbytes: 300, burstKbytes: 64 };
      await tune({ call: 'bandwidth', device, inbound: rate, outbound: { averageKbytes: 50 } });
      assert.deepEqual(await texts(), ['average=200 peak=300 burst=64', 'average=50']);
      await tune({ call: 'bandwidth', device, outbound: null });
      assert.deepEqual(await texts(), ['average=200 peak=300 burst=64', 'none'], 'what is not named stays');
      await tune({ call: 'bandwidth', device, inbound: { averageKbytes: 150 } });
      assert.deepEqual(await texts(), ['average=150', 'none'], 'peak and burst go with what they belonged to');
      await tune({ call: 'bandwidth', device, inbound: null, outbound: null });
      assert.deepEqual(await texts(), ['none', 'none']);
      await tune({ call: 'bandwidth', device, inbound: { averageKbytes: 1000 } });
    });

    it('pins vCPUs', async () => {
      const seen = await announced(2, () =>
        tune({ call: 'pin', vcpu: 0, cpus: [0] }, { call: 'pin', vcpu: 1, cpus: [1, 0] }),
      );
      assert.deepEqual(seen, { 'cputune.vcpupin0': '0', 'cputune.vcpupin1': '0-1' });
      assert.deepEqual((await tuning()).pins, { 0: '0', 1: '0-1' });
    });

    it('makes every call whatever becomes of the others, and names the first that failed', async () => {
      const fields = { total_iops_sec: 50 };
      const outcome = await client.tune(world.uuid, await runningId(), [
        { call: 'throttle', disk: 'vdz', throttle: { fields, group: null } },
        { call: 'bandwidth', device: MAC[1], inbound: { averageKbytes: 5 } },
        { call: 'pin', vcpu: 9, cpus: [0] },
        { call: 'throttle', disk: 'vda', throttle: { fields, group: null } },
      ]);
      assert.equal(failureOf(outcome), 'refused');
      assert.match(outcome.ok ? '' : outcome.message, /^disk vdz: .*'vdz' not found/);
      assert.equal((await throttles()).vda, 'total_iops_sec=50');
      await tune({ call: 'throttle', disk: 'vda', throttle: NO_THROTTLE });
    });

    it('refuses what an interface or a vCPU cannot have, in libvirt’s words', async () => {
      const id = await runningId();
      const message = async (call: TuneCall) => {
        const outcome = await client.tune(world.uuid, id, [call]);
        assert.equal(failureOf(outcome), 'refused');
        return outcome.ok ? '' : outcome.message;
      };
      assert.match(
        await message({ call: 'bandwidth', device: MAC[1], inbound: { averageKbytes: 5 } }),
        /^interface \S+: unsupported configuration: setting bandwidth on interfaces of type 'user' is not implemented/,
      );
      assert.match(
        await message({ call: 'bandwidth', device: 'vnet-nope', inbound: null }),
        /^interface vnet-nope: invalid argument: 'vnet-nope' is not a known interface/,
      );
      assert.match(await message({ call: 'pin', vcpu: 9, cpus: [0] }), /^vCPU 9: .*out of range of live cpu count 2/);
    });

    it('tells of hot plug, and shows what was plugged', async () => {
      const targets = async () => (await tuning()).disks.map(({ target }) => target);
      const macs = async () => (await tuning()).interfaces.map(({ mac }) => mac);
      await eventAfter(() => world.plugDisk('vdx'), ours('device'));
      assert.ok((await targets()).includes('vdx'));
      await tune({ call: 'throttle', disk: 'vdx', throttle: { fields: { total_iops_sec: 5 }, group: null } });
      assert.equal((await throttles()).vdx, 'total_iops_sec=5');
      await eventAfter(() => world.unplugDisk('vdx'), ours('device'));
      assert.ok(!(await targets()).includes('vdx'));
      await eventAfter(() => world.plugInterface(PLUGGED_MAC), ours('device'));
      assert.deepEqual(await macs(), [...MAC, PLUGGED_MAC]);
      await eventAfter(() => world.unplugInterface(PLUGGED_MAC), ours('device'));
      assert.deepEqual(await macs(), [...MAC]);
      assert.deepEqual((value(await client.facts(world.uuid)).definition?.disks ?? []).length, 4);
    });

    it('sets our originals and takes them off again', async () => {
      const id = await runningId();
      await eventAfter(
        async () => assert.equal((await client.setOriginals(world.uuid, id, ORIGINALS)).ok, true),
        ours('metadata'),
      );
      assert.match((await world.originals()) ?? '', /max &amp; 100000/);
      const facts = value(await client.facts(world.uuid));
      assert.equal(facts.originalsXml, ORIGINALS);
      assert.equal(facts.metadata.length, 1, 'ours is not among the metadata that policies match');
      assert.equal((await client.setOriginals(world.uuid, id, null)).ok, true);
      assert.equal(await world.originals(), null);
      assert.equal(value(await client.facts(world.uuid)).originalsXml, null);
    });

    it('refuses to touch another instance than the one named', async () => {
      const id = await runningId();
      const before = await tuning();
      assert.equal(failureOf(await scheduler(id + 1, { vcpu_quota: 9000n })), 'vanished');
      assert.equal(failureOf(await client.setOriginals(world.uuid, id + 1, ORIGINALS)), 'vanished');
      assert.equal(failureOf(await client.disks(world.uuid, id + 1)), 'vanished');
      assert.equal(failureOf(await client.disks(NOBODY, 1)), 'vanished');
      assert.equal(
        failureOf(await client.tune(NOBODY, 1, [{ call: 'scheduler', parameters: { vcpu_quota: 9000n } }])),
        'vanished',
      );
      assert.deepEqual(await tuning(), before);
    });

    it('follows the guest through suspend, stop and start', async () => {
      const id = await runningId();
      await eventAfter(() => world.suspendGuest(), lifecycle('suspended'));
      assert.equal(value(await client.facts(world.uuid)).state, 'paused');
      await eventAfter(() => world.resumeGuest(), lifecycle('resumed'));
      const stopped = await eventAfter(() => world.stopGuest(), lifecycle('stopped'));
      assert.equal(stopped.name, world.name);

      const order = () =>
        events.flatMap((event) => (event.kind === 'lifecycle' && event.uuid === world.uuid ? [event.event] : []));
      assert.deepEqual(order().slice(-2), ['shutdown', 'stopped']);

      const facts = value(await client.facts(world.uuid));
      assert.equal(facts.state, 'shutoff');
      assert.equal(facts.id, null);
      assert.equal(facts.tuning.cpu.vcpuQuotaUsec, 50_000, 'live values end with the instance');
      assert.deepEqual(facts.tuning, facts.definition);
      assert.equal(failureOf(await client.disks(world.uuid, id)), 'vanished');
      assert.equal(failureOf(await scheduler(id, { vcpu_quota: 9000n })), 'vanished');
      const listed = value(await client.list()).find(({ uuid }) => uuid === world.uuid);
      assert.deepEqual([listed?.id, listed?.state], [null, 'shutoff']);

      await eventAfter(() => world.startGuest(), lifecycle('started'));
      assert.deepEqual(order().slice(-2), ['resumed', 'started']);
      assert.notEqual(await runningId(), id);
    });

    const LABEL = 'system_u:system_r:svirt_t:s0:c1,c2';
    const STATIC: DomainSeclabel = {
      model: 'selinux',
      type: 'static',
      relabel: true,
      label: LABEL,
      imagelabel: null,
      baselabel: null,
    };
    const label = (text: string, id: number | null = null) => client.tune(world.uuid, id, [{ call: 'seclabel', text }]);
    const SAVE = { paused: false, abortAfterMs: 30_000 };
    const START = { paused: false, deadlineMs: 30_000 };

    it('changes the label of the definition and nothing else, and tells of it', async () => {
      const before = value(await client.facts(world.uuid));
      assert.deepEqual(before.definitionSeclabels, []);
      assert.equal(before.managedSave, false);
      await eventAfter(() => label(`static ${LABEL}`, before.id), lifecycle('defined'));
      const facts = value(await client.facts(world.uuid));
      assert.deepEqual(facts, { ...before, definitionSeclabels: [STATIC] });
      for (const [text, expected] of [
        [`static ${LABEL} relabel=no`, { ...STATIC, relabel: false }],
        ['dynamic a:b:c:s0', { ...STATIC, type: 'dynamic', label: null, baselabel: 'a:b:c:s0' }],
        ['none', { ...STATIC, type: 'none', label: null, relabel: false }],
      ] as const) {
        assert.deepEqual(await label(text), { ok: true, value: null });
        assert.deepEqual(value(await client.facts(world.uuid)).definitionSeclabels, [expected]);
      }
      assert.deepEqual(await label('dynamic'), { ok: true, value: null });
      assert.deepEqual(value(await client.facts(world.uuid)), before);
    });

    it('refuses what is no label, and makes the other calls', async () => {
      const outcome = await client.tune(world.uuid, await runningId(), [
        { call: 'seclabel', text: 'static <label/>\n x' },
        { call: 'scheduler', parameters: { cpu_shares: 700n } },
      ]);
      assert.equal(failureOf(outcome), 'refused');
      assert.match(outcome.ok ? '' : outcome.message, /^label: /);
      assert.equal((await tuning()).cpu.shares, 700);
    });

    it('makes calls about the definition without an instance, and no others', async () => {
      const outcome = await client.tune(world.uuid, null, [
        { call: 'seclabel', text: 'none' },
        { call: 'scheduler', parameters: { cpu_shares: 800n } },
      ]);
      assert.equal(failureOf(outcome), 'vanished');
      const facts = value(await client.facts(world.uuid));
      assert.deepEqual([facts.definitionSeclabels?.length, facts.tuning.cpu.shares], [1, 700]);
      assert.equal((await label('dynamic')).ok, true);
      const nobody = await client.tune(NOBODY, null, [{ call: 'seclabel', text: 'none' }]);
      assert.equal(failureOf(nobody), 'vanished');
    });

    it('saves a guest, changes the label in its image, and restores it', async () => {
      const before = value(await client.facts(world.uuid));
      const id = await runningId();
      const from = events.length;
      assert.equal(failureOf(await client.managedSave(world.uuid, id + 1, SAVE)), 'vanished');
      assert.deepEqual(await client.managedSave(world.uuid, id, SAVE), { ok: true, value: null });
      const off = value(await client.facts(world.uuid));
      assert.deepEqual([off.id, off.state, off.managedSave], [null, 'shutoff', true]);
      assert.deepEqual(await client.hasManagedSave(world.uuid), { ok: true, value: true });
      assert.deepEqual(await client.managedSaveXml(world.uuid), { ok: true, value: { seclabels: [] } });

      // This host cannot give a label of SELinux: so it is with every start that fails.
      assert.deepEqual(await client.managedSaveDefine(world.uuid, `static ${LABEL}`), { ok: true, value: null });
      assert.deepEqual(await client.managedSaveXml(world.uuid), { ok: true, value: { seclabels: [STATIC] } });
      const refused = await client.startGuest(world.uuid, { ...START, restoreOnly: true });
      assert.match(refused.ok ? '' : refused.message, /Security driver model 'selinux' is not available/);
      assert.deepEqual(await client.hasManagedSave(world.uuid), { ok: true, value: true });
      assert.deepEqual(value(await client.facts(world.uuid)).definitionSeclabels, []);

      assert.deepEqual(await client.managedSaveDefine(world.uuid, 'dynamic'), { ok: true, value: null });
      const again = await client.startGuest(world.uuid, { ...START, restoreOnly: true });
      const after = value(await client.facts(world.uuid));
      assert.deepEqual(again, { ok: true, value: after.id });
      assert.notEqual(after.id, id);
      assert.equal(after.state, 'running');
      assert.equal(after.tuning.cpu.shares, 700, 'what was tuned live travels in the image');
      assert.deepEqual(after.definition, before.definition);
      assert.deepEqual(await client.hasManagedSave(world.uuid), { ok: true, value: false });
      const told = () =>
        events
          .slice(from)
          .flatMap((event) => (event.kind === 'lifecycle' && event.uuid === world.uuid ? [event] : []))
          .map(({ event, detail }) => `${event} ${detail}`);
      for (let waitedMs = 0; told().length < 4 && waitedMs < 5000; waitedMs += 20) await pause(20);
      assert.deepEqual(told(), ['suspended 0', 'stopped 4', 'started 2', 'resumed 2']);
    });

    it('restores a guest paused that is to be, or that was', async () => {
      for (const [save, start] of [
        [{ ...SAVE, paused: true }, START],
        [SAVE, { ...START, paused: true }],
        ['paused before', START],
      ] as const) {
        if (save === 'paused before') assert.equal((await client.suspend(world.uuid, await runningId())).ok, true);
        const saved = await client.managedSave(world.uuid, await runningId(), save === 'paused before' ? SAVE : save);
        assert.equal(failureOf(saved), 'ok');
        assert.equal(failureOf(await client.startGuest(world.uuid, start)), 'ok');
        assert.equal(value(await client.facts(world.uuid)).state, 'paused');
        assert.equal(failureOf(await client.resume(world.uuid, await runningId())), 'ok');
        assert.equal(value(await client.facts(world.uuid)).state, 'running');
      }
    });

    it('suspends and resumes once, and no other instance', async () => {
      const id = await runningId();
      await eventAfter(() => client.suspend(world.uuid, id), lifecycle('suspended'));
      assert.deepEqual(await client.suspend(world.uuid, id), { ok: true, value: null });
      assert.equal(value(await client.facts(world.uuid)).state, 'paused');
      assert.equal(failureOf(await client.resume(world.uuid, id + 1)), 'vanished');
      await eventAfter(() => client.resume(world.uuid, id), lifecycle('resumed'));
      assert.deepEqual(await client.resume(world.uuid, id), { ok: true, value: null });
      assert.equal(failureOf(await client.suspend(world.uuid, id + 1)), 'vanished');
      assert.equal(value(await client.facts(world.uuid)).state, 'running');
    });

    it('says what there is not to do', async () => {
      const message = (outcome: LibvirtOutcome<unknown>) =>
        outcome.ok ? 'ok' : `${outcome.failure}: ${outcome.message}`;
      const without = /^refused: .*domain does not have managed save image/;
      assert.match(message(await client.managedSaveXml(world.uuid)), without);
      assert.match(message(await client.managedSaveDefine(world.uuid, 'none')), without);
      assert.match(message(await client.abortJob(world.uuid)), /^refused: .*no job is active/);
      assert.match(message(await client.startGuest(world.uuid, START)), /^refused: .*already running/);
      const called = new AbortController();
      called.abort();
      const options = { ...SAVE, signal: called.signal };
      assert.match(message(await client.managedSave(world.uuid, await runningId(), options)), /^withdrawn: /);
      await eventAfter(() => world.stopGuest(), lifecycle('stopped'));
      assert.match(message(await client.startGuest(world.uuid, { ...START, restoreOnly: true })), without);
      assert.equal(value(await client.facts(world.uuid)).state, 'shutoff');
      assert.equal(failureOf(await client.startGuest(world.uuid, START)), 'ok');
      for (const outcome of [
        await client.managedSave(NOBODY, 1, SAVE),
        await client.abortJob(NOBODY),
        await client.hasManagedSave(NOBODY),
        await client.managedSaveXml(NOBODY),
        await client.managedSaveDefine(NOBODY, 'none'),
        await client.startGuest(NOBODY, START),
        await client.suspend(NOBODY, 1),
        await client.resume(NOBODY, 1),
      ]) {
        assert.equal(failureOf(outcome), 'vanished');
      }
    });
  });
}

function value<T>(outcome: LibvirtOutcome<T>): T {
  return outcome.ok ? outcome.value : assert.fail(`${outcome.failure}: ${outcome.message}`);
}

function failureOf(outcome: LibvirtOutcome<unknown>): string {
  return outcome.ok ? 'ok' : outcome.failure;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
