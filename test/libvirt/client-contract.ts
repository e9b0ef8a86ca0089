/**
 * What every LibvirtClient has to do, whether on a real libvirtd or in memory: a suite that takes a world with one
 * guest and the hands to change it from outside, as virsh would.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type {
  LibvirtClient,
  LibvirtEvent,
  LibvirtOutcome,
  SchedulerParameters,
} from '../../src/host/libvirt/client.js';

/** One persistent guest of two vCPUs with shares 512, quota 50000 and metadata `<app:role xmlns:app="urn:x" name="db"/>`. */
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
  /** Our originals, as someone else sees them. */
  originals(): Promise<string | null>;
}

const ORIGINALS = '<originals version="1"><knob name="cpu.max">max &amp; 100000</knob></originals>';
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
      <K extends 'tunable' | 'metadata'>(kind: K) =>
      (event: LibvirtEvent): event is Extract<LibvirtEvent, { kind: K }> =>
        event.kind === kind && event.uuid === world.uuid;

    async function runningId(): Promise<number> {
      return value(await client.facts(world.uuid)).id ?? assert.fail('the guest does not run');
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
      assert.equal(facts.cputune.shares, 512);
      assert.equal(facts.cputune.vcpuQuotaUsec, 50_000);
      assert.equal(facts.persistentCputune?.shares, 512);
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
      const seen: Record<string, string> = {};
      await eventAfter(
        async () => assert.deepEqual(await client.setScheduler(world.uuid, id, parameters), { ok: true, value: null }),
        (event): event is LibvirtEvent => {
          if (ours('tunable')(event)) Object.assign(seen, event.parameters);
          return Object.keys(seen).length >= 3;
        },
      );
      assert.deepEqual(seen, {
        'cputune.cpu_shares': '2048',
        'cputune.vcpu_period': '50000',
        'cputune.vcpu_quota': '20000',
      });
      const facts = value(await client.facts(world.uuid));
      assert.equal(facts.cputune.shares, 2048);
      assert.equal(facts.cputune.vcpuPeriodUsec, 50_000);
      assert.equal(facts.cputune.vcpuQuotaUsec, 20_000);
      assert.equal(facts.persistentCputune?.shares, 512);
      assert.equal(facts.persistentCputune?.vcpuQuotaUsec, 50_000);
    });

    it('takes a quota off with a negative one', async () => {
      const id = await runningId();
      assert.equal((await client.setScheduler(world.uuid, id, { vcpu_quota: -1n })).ok, true);
      assert.equal(value(await client.facts(world.uuid)).cputune.vcpuQuotaUsec, -1);
    });

    it('tells when someone else sets a parameter', async () => {
      const event = await eventAfter(() => world.schedinfo({ vcpu_quota: 30_000n }), ours('tunable'));
      assert.equal(event.parameters['cputune.vcpu_quota'], '30000');
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
      const before = value(await client.facts(world.uuid)).cputune;
      assert.equal(failureOf(await client.setScheduler(world.uuid, id + 1, { vcpu_quota: 9000n })), 'vanished');
      assert.equal(failureOf(await client.setOriginals(world.uuid, id + 1, ORIGINALS)), 'vanished');
      assert.equal(failureOf(await client.setScheduler(NOBODY, 1, { vcpu_quota: 9000n })), 'vanished');
      assert.deepEqual(value(await client.facts(world.uuid)).cputune, before);
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
      assert.equal(facts.cputune.vcpuQuotaUsec, 50_000, 'live values end with the instance');
      assert.equal(failureOf(await client.setScheduler(world.uuid, id, { vcpu_quota: 9000n })), 'vanished');
      const listed = value(await client.list()).find(({ uuid }) => uuid === world.uuid);
      assert.deepEqual([listed?.id, listed?.state], [null, 'shutoff']);

      await eventAfter(() => world.startGuest(), lifecycle('started'));
      assert.deepEqual(order().slice(-2), ['resumed', 'started']);
      assert.notEqual(await runningId(), id);
    });
  });
}

function value<T>(outcome: LibvirtOutcome<T>): T {
  return outcome.ok ? outcome.value : assert.fail(`${outcome.failure}: ${outcome.message}`);
}

function failureOf(outcome: LibvirtOutcome<unknown>): string {
  return outcome.ok ? 'ok' : outcome.failure;
}
