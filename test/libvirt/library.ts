/** Why tests on libvirt's own library cannot run; false when they can. */
import { loadLibrary } from '../../src/host/ffi.js';

export function libraryMissing(): string | false {
  const loaded = loadLibrary('libvirt.so.0');
  return loaded.ok ? false : loaded.reason;
}
