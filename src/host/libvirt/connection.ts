/**
 * Opening and closing one connection on the calling thread. Takes a URI, gives a connection with keepalive, or why
 * there is none.
 */
import type { LibvirtLibrary } from './bindings.js';
import type { Connection } from './calls.js';

/**
 * A daemon that answers nothing for 5 s × 3 is taken for dead, as virConnectSetKeepAlive counts. A call that is waiting
 * then ends with an error. A guest that hangs does not count: libvirtd itself still answers.
 */
const KEEPALIVE_INTERVAL_SECONDS = 5;
const KEEPALIVE_COUNT = 3;

/** Blocks until libvirtd answers: with a stopped one, until it goes on or is killed. */
export function openConnection(libvirt: LibvirtLibrary, uri: string): Connection | string {
  libvirt.virResetLastError();
  const handle = libvirt.virConnectOpen(uri);
  if (handle === null) return libvirt.virGetLastErrorMessage() ?? `cannot connect to ${uri}`;
  // Drivers inside this process (test:///) have no keepalive: not an error.
  libvirt.virConnectSetKeepAlive(handle, KEEPALIVE_INTERVAL_SECONDS, KEEPALIVE_COUNT);
  return { libvirt, handle };
}

export function closeConnection(connection: Connection): void {
  connection.libvirt.virConnectClose(connection.handle);
}
