/**
 * Every C signature is called here at least once on libvirt's built-in test driver, since a wrong one would crash the
 * daemon. What that driver refuses (live scheduler parameters) the contract suite calls on a real QEMU.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { type Pointer, registerCallback } from '../../src/host/ffi.js';
import * as c from '../../src/host/libvirt/bindings.js';
import { listDomains, readFacts, setOriginals } from '../../src/host/libvirt/calls.js';
import type { LibvirtOutcome, TuneCall } from '../../src/host/libvirt/client.js';
import { closeConnection, openConnection } from '../../src/host/libvirt/connection.js';
import { readDisks } from '../../src/host/libvirt/disk-readings.js';
import type { Connection } from '../../src/host/libvirt/domain-call.js';
import { eventCallbacks } from '../../src/host/libvirt/event-callbacks.js';
import { makeSaveCall } from '../../src/host/libvirt/save-calls.js';
import { tune } from '../../src/host/libvirt/tune.js';
import {
  decodeTypedParameters,
  type TypedParameter,
  withTypedParameters,
} from '../../src/host/libvirt/typed-parameters.js';
import { libraryMissing } from './library.js';

const URI = 'test:///default';
const NOBODY = '00000000-0000-4000-8000-000000000000';

function open(): Connection {
  const bound = c.bindLibvirt();
  assert.ok(bound.ok);
  const connection = openConnection(bound.libvirt, URI, 5);
  assert.ok(typeof connection !== 'string', String(connection));
  return connection;
}

function openGuest(): { connection: Connection; uuid: string } {
  const connection = open();
  const list = listDomains(connection);
  return { connection, uuid: list.ok ? (list.value[0]?.uuid ?? '') : '' };
}

function failureOf(outcome: LibvirtOutcome<unknown>): string {
  return outcome.ok ? 'ok' : outcome.failure;
}

describe('libvirt through koffi', { skip: libraryMissing() }, () => {
  it('knows versions and whether a connection is alive', () => {
    const connection = open();
    const { libvirt, handle } = connection;
    const version = new BigUint64Array(1);
    assert.equal(libvirt.virGetVersion(version, null, null), 0);
    assert.ok((version[0] ?? 0n) >= 1_000_000n);
    const daemon = new BigUint64Array(1);
    assert.equal(libvirt.virConnectGetLibVersion(handle, daemon), 0);
    assert.deepEqual(daemon, version, 'the test driver is the library itself');
    assert.equal(libvirt.virConnectIsAlive(handle), 1);
    closeConnection(connection);
  });

  it('lists domains and reads one', () => {
    const connection = open();
    const list = listDomains(connection);
    assert.ok(list.ok);
    assert.deepEqual(
      list.value.map(({ uuid: _, ...rest }) => rest),
      [{ name: 'test', id: 1, state: 'running', persistent: true }],
    );
    const uuid = list.value[0]?.uuid ?? '';
    assert.match(uuid, /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/);
    const facts = readFacts(connection, uuid);
    assert.ok(facts.ok);
    assert.equal(facts.value.facts.name, 'test');
    assert.equal(facts.value.facts.vcpusMax, 2);
    closeConnection(connection);
  });

  it('reports failures as outcomes, with libvirt’s own words', () => {
    const connection = open();
    assert.deepEqual(readFacts(connection, NOBODY), { ok: false, failure: 'vanished', message: 'Domain not found' });
    const malformed = readFacts(connection, 'no-uuid');
    assert.equal(malformed.ok ? 'ok' : malformed.failure, 'refused');
    const list = listDomains(connection);
    const uuid = list.ok ? (list.value[0]?.uuid ?? '') : '';
    const parameters = { cpu_shares: 1n, vcpu_period: 1n, vcpu_quota: -1n };
    const refused = tune(connection, uuid, 1, [{ call: 'scheduler', parameters }]);
    assert.equal(refused.ok ? 'ok' : refused.failure, 'refused');
    const nothing: TuneCall[] = [
      { call: 'scheduler', parameters: {} },
      { call: 'memory', parameters: {} },
      { call: 'blkio', parameters: {} },
      { call: 'bandwidth', device: 'testnet0' },
    ];
    assert.deepEqual(tune(connection, uuid, 1, nothing), { ok: true, value: null });
    closeConnection(connection);
  });

  it('tunes what the test driver can tune', () => {
    const { connection, uuid } = openGuest();
    const bandwidth = { averageKbytes: 100, peakKbytes: 200, burstKbytes: 300 };
    const calls: TuneCall[] = [
      { call: 'bandwidth', device: 'testnet0', inbound: bandwidth, outbound: bandwidth },
      { call: 'memory', parameters: { hard_limit: 9_000_000n, soft_limit: 8_000_000n } },
      { call: 'blkio', parameters: { weight: 500, device_weight: '/dev/vdz,100' } },
    ];
    assert.deepEqual(tune(connection, uuid, 1, calls), { ok: true, value: null });
    const facts = readFacts(connection, uuid);
    assert.ok(facts.ok);
    const { memory, interfaces } = facts.value.facts.tuning;
    assert.deepEqual(memory, { hardLimitKib: 9_000_000, softLimitKib: 8_000_000 });
    assert.deepEqual(
      interfaces.map(({ inbound, outbound }) => [inbound, outbound]),
      [[bandwidth, bandwidth]],
    );
    closeConnection(connection);
  });

  it('makes every call, and reports the first that failed by its device', () => {
    const { connection, uuid } = openGuest();
    const fields = { total_iops_sec: 5 };
    const calls: TuneCall[] = [
      { call: 'throttle', disk: 'nope', throttle: { fields, group: 'a' } },
      { call: 'throttle', disk: 'hda', throttle: { fields: { total_iops_sec: 0.5 }, group: null } },
      { call: 'bandwidth', device: 'nope', inbound: { averageKbytes: -1 } },
      { call: 'pin', vcpu: 0, cpus: [70_000] },
      { call: 'pin', vcpu: 0, cpus: [] },
      { call: 'memory', parameters: { soft_limit: 7_000_000n } },
    ];
    for (const [index, expected] of [
      /^disk nope: /,
      /^disk hda: .*0\.5/,
      /^interface nope: -1 is no uint/,
      /^vCPU 0: there is no CPU 70000/,
      /^vCPU 0: /,
    ].entries()) {
      const outcome = tune(connection, uuid, 1, calls.slice(index));
      assert.deepEqual(failureOf(outcome), 'refused');
      assert.match(outcome.ok ? '' : outcome.message, expected);
    }
    const facts = readFacts(connection, uuid);
    assert.equal(facts.ok && facts.value.facts.tuning.memory.softLimitKib, 7_000_000);
    assert.equal(failureOf(tune(connection, uuid, 2, calls)), 'vanished');
    assert.equal(failureOf(tune(connection, NOBODY, 1, calls)), 'vanished');
    closeConnection(connection);
  });

  it('reads disks as far as the test driver has any', () => {
    const { connection, uuid } = openGuest();
    assert.equal(failureOf(readDisks(connection, uuid, 2)), 'vanished');
    const { ok } = readDisks(connection, uuid, 1);
    assert.equal(typeof ok, 'boolean');
    closeConnection(connection);
  });

  it('suspends, saves, restores and defines as far as the test driver can', () => {
    const { connection, uuid } = openGuest();
    const call = (op: 'suspend' | 'resume', id: number) => failureOf(makeSaveCall(connection, { op, uuid, id }));
    assert.deepEqual(
      [call('suspend', 1), call('suspend', 1), call('resume', 1), call('resume', 1)],
      Array(4).fill('ok'),
    );
    assert.equal(call('suspend', 2), 'vanished');
    const text = 'static system_u:system_r:svirt_t:s0:c1,c2';
    assert.deepEqual(tune(connection, uuid, null, [{ call: 'seclabel', text }]), { ok: true, value: null });
    const facts = readFacts(connection, uuid);
    assert.equal(facts.ok && facts.value.facts.definitionSeclabels?.[0]?.label, text.slice('static '.length));
    assert.deepEqual(tune(connection, uuid, null, [{ call: 'seclabel', text: 'dynamic' }]), { ok: true, value: null });

    assert.deepEqual(makeSaveCall(connection, { op: 'hasManagedSave', uuid }), { ok: true, value: false });
    assert.deepEqual(makeSaveCall(connection, { op: 'managedSave', uuid, id: 1, paused: true }), {
      ok: true,
      value: null,
    });
    assert.deepEqual(makeSaveCall(connection, { op: 'hasManagedSave', uuid }), { ok: true, value: true });
    // It keeps no XML in its image, and calls off nothing.
    for (const op of ['managedSaveXml', 'abortJob'] as const) {
      assert.equal(failureOf(makeSaveCall(connection, { op, uuid })), 'refused');
    }
    assert.equal(failureOf(makeSaveCall(connection, { op: 'managedSaveDefine', uuid, text })), 'refused');
    const domain = connection.libvirt.virDomainLookupByUUIDString(connection.handle, uuid);
    assert.equal(connection.libvirt.virDomainManagedSaveDefineXML(domain, '<domain/>', 0), -1);
    connection.libvirt.virDomainFree(domain);
    const start = { op: 'startGuest', uuid, paused: false } as const;
    assert.equal(failureOf(makeSaveCall(connection, { ...start, restoreOnly: true })), 'refused');
    const started = makeSaveCall(connection, { ...start, restoreOnly: false });
    assert.equal(typeof (started.ok && started.value), 'number');
    assert.equal(failureOf(makeSaveCall(connection, { op: 'hasManagedSave', uuid: NOBODY })), 'vanished');
    closeConnection(connection);
  });

  it('passes parameters of every type to C and back', () => {
    const parameters: TypedParameter[] = [
      { name: 'a', type: 'uint', value: 4_294_967_295 },
      { name: 'b', type: 'llong', value: -5n },
      { name: 'c', type: 'ullong', value: 18_446_744_073_709_551_615n },
      { name: 'd', type: 'boolean', value: true },
      { name: 'e', type: 'string', value: 'group ü' },
      { name: 'f', type: 'string', value: '' },
    ];
    const seen = withTypedParameters(parameters, decodeTypedParameters);
    assert.deepEqual(
      [...seen],
      parameters.map(({ name, value }) => [name, value]),
    );
    assert.throws(() => withTypedParameters([{ name: 'a', type: 'string', value: 'a\0b' }], () => 0), /NUL/);
    assert.throws(() => withTypedParameters([{ name: 'a'.repeat(80), type: 'uint', value: 1 }], () => 0), /too long/);
  });

  it('delivers events on the thread that runs the loop', () => {
    const connection = open();
    const { libvirt, handle } = connection;
    const list = listDomains(connection);
    const uuid = list.ok ? (list.value[0]?.uuid ?? '') : '';
    assert.equal(libvirt.virEventRegisterDefaultImpl(), 0);
    // Opened after the loop is registered, as in the daemon.
    const watching = open();
    let ticks = 0;
    const tick = registerCallback(c.TIMEOUT_CALLBACK_PARAMETERS, () => void ticks++);
    const timer = libvirt.virEventAddTimeout(20, tick.pointer, null, null);
    assert.ok(timer >= 0);
    const onClose = registerCallback(c.CLOSE_CALLBACK_PARAMETERS, (_connection: Pointer, _reason: number) => {});
    // The test driver has no connection that could close.
    libvirt.virConnectRegisterCloseCallback(watching.handle, onClose.pointer, null, null);
    const callbacks = eventCallbacks(libvirt);
    assert.equal(callbacks.registerOn(watching), null);

    assert.deepEqual(setOriginals(connection, uuid, 1, '<originals/>'), { ok: true, value: null });
    assert.equal(libvirt.virEventRunDefaultImpl(), 0);
    for (let i = 0; i < 50 && ticks < 3; i++) libvirt.virEventRunDefaultImpl();
    assert.ok(ticks >= 3);
    assert.deepEqual(callbacks.take(), [{ kind: 'metadata', uuid }]);
    assert.deepEqual(callbacks.take(), []);

    callbacks.deregisterFrom(watching);
    assert.deepEqual(setOriginals(connection, uuid, 1, null), { ok: true, value: null });
    for (let until = ticks + 2; ticks < until; ) libvirt.virEventRunDefaultImpl();
    assert.deepEqual(callbacks.take(), [], 'a callback that was taken off is not called');

    libvirt.virEventRemoveTimeout(timer);
    libvirt.virConnectUnregisterCloseCallback(watching.handle, onClose.pointer);
    closeConnection(watching);
    closeConnection(connection);
    for (const callback of [tick, onClose]) callback.unregister();
    callbacks.unregister();
    assert.equal(libvirt.virConnectIsAlive(null), -1);
    assert.equal(libvirt.virGetLastErrorCode(), c.VIR_ERR.invalidConn);
    assert.notEqual(handle, null);
  });

  it('keeps libvirt from writing to stderr', () => {
    const script = `
      import { bindLibvirt } from ${JSON.stringify(import.meta.resolve('../../src/host/libvirt/bindings.js'))};
      const { libvirt } = bindLibvirt();
      if (libvirt.virConnectOpen('nonsense:///') !== null) process.exit(3);
      console.log(libvirt.virGetLastErrorMessage());`;
    const child = spawnSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8' });
    assert.equal(child.status, 0, child.stderr);
    assert.match(child.stdout, /nonsense|Failed to connect socket/);
    assert.equal(child.stderr, '');
  });
});
