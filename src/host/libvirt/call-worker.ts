/**
 * Thread entry: takes one call at a time from the main thread, makes it synchronously on a connection of its own, sends
 * back the outcome. Connects when first asked and again when the connection has died; knows no deadlines, since it
 * cannot interrupt itself (the main thread keeps them).
 */
import { parentPort, workerData } from 'node:worker_threads';
import { bindLibvirt, type LibvirtLibrary } from './bindings.js';
import { listDomains, readFacts, setOriginals } from './calls.js';
import type { LibvirtOutcome } from './client.js';
import { closeConnection, openConnection } from './connection.js';
import { readDisks } from './disk-readings.js';
import type { Connection } from './domain-call.js';
import type { Call, CallReply, CallRequest, CallValue, CallWorkerData } from './protocol.js';
import { makeSaveCall } from './save-calls.js';
import { tune } from './tune.js';

const { uri, keepaliveSeconds } = workerData as CallWorkerData;
let libvirt: LibvirtLibrary | null = null;
let connection: Connection | null = null;

parentPort?.on('message', (request: CallRequest) => {
  if ('stop' in request) {
    disconnect();
    parentPort?.close();
    return;
  }
  parentPort?.postMessage({ outcome: answer(request.call) } satisfies CallReply);
});

function answer(call: Call): LibvirtOutcome<CallValue> {
  try {
    const kept = connection !== null;
    const outcome = attempt(call);
    // A kept connection may have died unnoticed, as when libvirtd was restarted: the others are not to suffer for it.
    // Every call may be made twice.
    return kept && !outcome.ok && outcome.failure === 'disconnected' ? attempt(call) : outcome;
  } catch (error) {
    const message = `libvirt worker: ${error instanceof Error ? error.message : error}`;
    return { ok: false, failure: 'refused', message };
  }
}

function attempt(call: Call): LibvirtOutcome<CallValue> {
  const open = connect();
  if (typeof open === 'string') return { ok: false, failure: 'disconnected', message: open };
  const outcome = make(open, call);
  if (!outcome.ok && outcome.failure === 'disconnected') disconnect();
  return outcome;
}

function make(open: Connection, call: Call): LibvirtOutcome<CallValue> {
  switch (call.op) {
    case 'list':
      return listDomains(open);
    case 'facts':
      return readFacts(open, call.uuid);
    case 'disks':
      return readDisks(open, call.uuid, call.id, call.options);
    case 'tune':
      return tune(open, call.uuid, call.id, call.calls);
    case 'setOriginals':
      return setOriginals(open, call.uuid, call.id, call.xml);
    default:
      return makeSaveCall(open, call);
  }
}

/** The connection, or why there is none. */
function connect(): Connection | string {
  if (connection !== null && connection.libvirt.virConnectIsAlive(connection.handle) === 1) return connection;
  disconnect();
  if (libvirt === null) {
    const bound = bindLibvirt();
    if (!bound.ok) return bound.reason;
    libvirt = bound.libvirt;
  }
  const opened = openConnection(libvirt, uri, keepaliveSeconds);
  if (typeof opened !== 'string') connection = opened;
  return opened;
}

function disconnect(): void {
  if (connection !== null) closeConnection(connection);
  connection = null;
}
