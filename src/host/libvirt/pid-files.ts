/**
 * The pid files that libvirt writes as root in its run directory: which process is a domain's. File names come from
 * reading the directory, so a hostile guest name never becomes a path.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Domain name → pid, from one reading of libvirt's pid files. */
export function readPidFiles(runLibvirt: string): ReadonlyMap<string, number> {
  const directory = join(runLibvirt, 'qemu');
  const pids = new Map<string, number>();
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch {
    return pids;
  }
  for (const name of names) {
    if (!name.endsWith('.pid')) continue;
    try {
      const pid = Number(readFileSync(join(directory, name), 'latin1').trim());
      if (Number.isSafeInteger(pid) && pid > 1) pids.set(name.slice(0, -'.pid'.length), pid);
    } catch {
      // The guest went between the two calls.
    }
  }
  return pids;
}

/** libvirt escapes what XML reserves when it names a pid file. */
const XML_NAMES: Readonly<Record<string, string>> = {
  '<': '&lt;',
  '>': '&gt;',
  '&': '&amp;',
  "'": '&apos;',
  '"': '&quot;',
};

/** The pid that libvirt has written for this domain. That it is the domain's is checked by `locateProcess`. */
export function pidOf(pids: ReadonlyMap<string, number>, name: string): number | null {
  const escaped = name.replaceAll(/[<>&'"]/g, (character) => XML_NAMES[character] ?? character);
  return pids.get(name) ?? pids.get(escaped) ?? null;
}
