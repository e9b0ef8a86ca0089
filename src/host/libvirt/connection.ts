/**
 * Opening and closing one connection on the calling thread. Takes a URI, gives a connection with keepalive, or why
 * there is none.
 */
import type { LibvirtLibrary } from './bindings.js';
import type { Connection } from './domain-call.js';

/** Unanswered keepalive messages after which a daemon is taken for dead. */
const KEEPALIVE_COUNT = 3;

/**
 * Blocks until libvirtd answers: with a stopped one, until it goes on or is killed.
 * @param keepaliveSeconds between keepalive messages. A daemon that leaves three unanswered is taken for dead by
 *   the event loop. A call already waiting for it goes on waiting (seen with libvirt 9.0, whose waiting loop has no timeout),
 *   until the daemon goes on or is killed: the deadlines of the main thread are what counts.
 */
export function openConnection(libvirt: LibvirtLibrary, uri: string, keepaliveSeconds: number): Connection | string {
  libvirt.virResetLastError();
  const handle = libvirt.virConnectOpen(uri);
  if (handle === null) return libvirt.virGetLastErrorMessage() ?? `cannot connect to ${uri}`;
  // Drivers inside this process (test:///) have no keepalive: not an error.
  libvirt.virConnectSetKeepAlive(handle, keepaliveSeconds, KEEPALIVE_COUNT);
  return { libvirt, handle };
}

export function closeConnection(connection: Connection): void {
  connection.libvirt.virConnectClose(connection.handle);
}
