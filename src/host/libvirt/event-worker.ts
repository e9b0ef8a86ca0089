/**
 * Thread entry: keeps one connection, runs libvirt's event loop on it, sends events and changes of connection to the
 * main thread. Nothing but a stop flag comes in: the thread is always inside the loop (or connecting, or waiting to
 * connect again), and makes no call about a guest, so that keepalive and events are never late.
 * libvirt's default event loop is global to the process: only one thread may run it, and it runs here, synchronously,
 * so that every callback runs on the thread whose JavaScript it enters.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { type Pointer, registerCallback } from '../ffi.js';
import { type Backoff, createBackoff } from './backoff.js';
import * as c from './bindings.js';
import { closeConnection, openConnection } from './connection.js';
import type { Connection } from './domain-call.js';
import { type EventCallbacks, eventCallbacks } from './event-callbacks.js';
import { type EventMessage, type EventWorkerData, FLAG } from './protocol.js';

/** How often the loop looks at the stop flag. */
const STOP_CHECK_MS = 250;

const { uri, keepaliveSeconds, flags } = workerData as EventWorkerData;
const flag = new Int32Array(flags);

run();

function run(): void {
  const backoff = createBackoff({ firstMs: 250, mostMs: 3_000, steadyMs: 10_000, random: Math.random });
  const bound = bindUntilStopped(backoff);
  if (bound === null) return;
  // A second registration in this process is ignored by libvirt; the first thread to come here makes it.
  bound.virEventRegisterDefaultImpl();
  const tick = registerCallback(c.TIMEOUT_CALLBACK_PARAMETERS, () => {});
  const timer = bound.virEventAddTimeout(STOP_CHECK_MS, tick.pointer, null, null);
  const callbacks = eventCallbacks(bound);
  try {
    while (!stopping()) serveOneConnection(bound, callbacks, backoff);
  } finally {
    bound.virEventRemoveTimeout(timer);
    callbacks.unregister();
    tick.unregister();
  }
}

/** libvirt may be installed while the daemon runs: tried again like a connection. */
function bindUntilStopped(backoff: Backoff): c.LibvirtLibrary | null {
  while (!stopping()) {
    const bound = c.bindLibvirt();
    if (bound.ok) return bound.libvirt;
    retryLater(bound.reason, backoff);
  }
  return null;
}

function serveOneConnection(libvirt: c.LibvirtLibrary, callbacks: EventCallbacks, backoff: Backoff): void {
  const connection = openConnection(libvirt, uri, keepaliveSeconds);
  if (typeof connection === 'string') {
    retryLater(connection, backoff);
    return;
  }
  // After a stop no callback may be registered any more: another thread may be running the loop by now.
  if (stopping()) {
    closeConnection(connection);
    return;
  }
  let closed: string | null = null;
  const onClose = registerCallback(c.CLOSE_CALLBACK_PARAMETERS, (_connection: Pointer, reason: number) => {
    closed = closeReason(reason);
  });
  libvirt.virConnectRegisterCloseCallback(connection.handle, onClose.pointer, null, null);
  const problem = callbacks.registerOn(connection);
  try {
    if (problem !== null) {
      closed = problem;
    } else {
      backoff.connected(performance.now());
      post({ kind: 'connected', libraryVersion: libraryVersion(libvirt), daemonVersion: daemonVersion(connection) });
    }
    while (closed === null && !stopping()) {
      if (libvirt.virEventRunDefaultImpl() < 0) closed = 'the event loop of libvirt failed';
      const events = callbacks.take();
      if (events.length > 0) post({ kind: 'events', events });
      // In case the close callback was missed, as in the moment between opening and registering it.
      if (closed === null && libvirt.virConnectIsAlive(connection.handle) !== 1) closed = 'connection lost';
    }
  } finally {
    callbacks.deregisterFrom(connection);
    libvirt.virConnectUnregisterCloseCallback(connection.handle, onClose.pointer);
    closeConnection(connection);
    onClose.unregister();
  }
  if (closed !== null) retryLater(closed, backoff);
}

function retryLater(reason: string, backoff: Backoff): void {
  const retryInMs = backoff.next(performance.now());
  post({ kind: 'disconnected', reason, retryInMs });
  // Sleeps, unless the stop flag is set and notified.
  Atomics.wait(flag, FLAG.stop, 0, retryInMs);
}

function stopping(): boolean {
  return Atomics.load(flag, FLAG.stop) !== 0;
}

function post(message: EventMessage): void {
  parentPort?.postMessage(message);
}

/** virConnectCloseReason */
function closeReason(reason: number): string {
  const reasons = [
    'the connection to libvirtd failed',
    'libvirtd closed the connection',
    'libvirtd did not answer keepalive messages',
    'the connection was closed from this side',
  ];
  return reasons[reason] ?? `the connection to libvirtd was closed (reason ${reason})`;
}

function libraryVersion(libvirt: c.LibvirtLibrary): string {
  const version = new BigUint64Array(1);
  libvirt.virGetVersion(version, null, null);
  return versionText(Number(version[0]));
}

function daemonVersion({ libvirt, handle }: Connection): string | null {
  const version = new BigUint64Array(1);
  return libvirt.virConnectGetLibVersion(handle, version) < 0 ? null : versionText(Number(version[0]));
}

/** major × 1,000,000 + minor × 1,000 + release */
function versionText(version: number): string {
  return `${Math.floor(version / 1_000_000)}.${Math.floor(version / 1000) % 1000}.${version % 1000}`;
}
