/** The client of a host where libvirt is switched off (bare QEMU only): never connected, and says so. */
import type { LibvirtClient } from './client.js';

export function withoutLibvirt(): LibvirtClient {
  const message = 'libvirt is switched off (libvirt URI "none")';
  const disconnected = async () => ({ ok: false, failure: 'disconnected', message }) as const;
  return {
    start: async () => {},
    stop: async () => {},
    status: () => ({
      uri: null,
      connected: false,
      libraryVersion: null,
      daemonVersion: null,
      lastError: message,
      quarantined: [],
      abandonedWorkers: 0,
      reconnects: 0,
    }),
    onEvent: () => {},
    list: disconnected,
    facts: disconnected,
    tune: disconnected,
    disks: disconnected,
    setOriginals: disconnected,
    managedSave: disconnected,
    abortJob: disconnected,
    hasManagedSave: disconnected,
    managedSaveXml: disconnected,
    managedSaveDefine: disconnected,
    startGuest: disconnected,
    suspend: disconnected,
    resume: disconnected,
  };
}
