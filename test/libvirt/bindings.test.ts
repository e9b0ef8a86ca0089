/**
 * Every C signature is called here at least once on libvirt's built-in test driver, since a wrong one would crash the
 * daemon. What that driver refuses (live scheduler parameters) the contract suite calls on a real QEMU.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { type Pointer, registerCallback } from '../../src/host/ffi.js';
import * as c from '../../src/host/libvirt/bindings.js';
import { type Connection, listDomains, readFacts, setOriginals, setScheduler } from '../../src/host/libvirt/calls.js';
import { closeConnection, openConnection } from '../../src/host/libvirt/connection.js';
import { eventCallbacks } from '../../src/host/libvirt/event-callbacks.js';
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
    const refused = setScheduler(connection, uuid, 1, { cpu_shares: 1n, vcpu_period: 1n, vcpu_quota: -1n });
    assert.equal(refused.ok ? 'ok' : refused.failure, 'refused');
    assert.deepEqual(setScheduler(connection, uuid, 1, {}), { ok: true, value: null });
    closeConnection(connection);
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
