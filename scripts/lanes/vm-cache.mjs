// Where the VM lane keeps what it made, outside the repository: layers of the image by the hash of what they are made
// from, and a directory for each VM that runs. What a killed run left behind is removed by the next.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** A layer that nobody has used for so long goes when another is made. */
const KEEP_LAYERS_MS = 14 * 24 * 3600 * 1000;
/** A directory without an owner may be one that is being made. */
const UNOWNED_MS = 60_000;

export function cacheDirectory() {
  const home = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  const directory = join(home, 'virtslad', 'vm');
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  return directory;
}

/** Twelve hexadecimal digits that stand for these contents. */
export function hashOf(contents) {
  const hash = createHash('sha256');
  for (const content of contents) hash.update(`${content.length}:`).update(content);
  return hash.digest('hex').slice(0, 12);
}

/** Says that a layer is in use now, and removes others of its kind that nobody uses. */
export function keepLayer(path, kind) {
  utimesSync(path, new Date(), new Date());
  const parent = join(path, '..');
  for (const name of readdirSync(parent)) {
    const other = join(parent, name);
    if (!name.startsWith(kind) || other === path) continue;
    const age = Date.now() - (statSync(other, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (age > KEEP_LAYERS_MS) rmSync(other, { recursive: true, force: true });
  }
}

export function runDirectory(name) {
  return join(cacheDirectory(), 'run', name);
}

/** Makes the directory of a VM, which belongs to this process until `own` says otherwise. */
export function makeRunDirectory(name) {
  const directory = runDirectory(name);
  mkdirSync(join(directory, '..'), { recursive: true });
  mkdirSync(directory, { mode: 0o700 });
  own(directory, process.pid);
  return directory;
}

/** When that process ends, the directory and what runs from it are left over. */
export function own(directory, pid) {
  writeFileSync(join(directory, 'owner'), `${pid} ${startTime(pid)}\n`);
}

export function isOwned(directory) {
  const [pid, started] = readOrEmpty(join(directory, 'owner')).trim().split(' ');
  return pid !== '' && started !== undefined && startTime(pid) === started;
}

/** Ends and removes what belongs to runs whose owner is gone. */
export function removeLeftovers() {
  const parent = runDirectory('.');
  if (!existsSync(parent)) return;
  for (const name of readdirSync(parent)) {
    const directory = join(parent, name);
    const age = Date.now() - (statSync(directory, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (isOwned(directory) || (!existsSync(join(directory, 'owner')) && age < UNOWNED_MS)) continue;
    endProcessesOf(directory);
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Kills every process that names the directory on its command line: its QEMU, ssh and image scripts. */
export function endProcessesOf(directory) {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)) {
    if (!readOrEmpty(`/proc/${pid}/cmdline`).includes(`${directory}/`)) continue;
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It went by itself.
    }
  }
}

/** In clock ticks since the host's boot, as text; a pid alone may be another process by now. */
function startTime(pid) {
  const stat = readOrEmpty(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? 'gone';
}

function readOrEmpty(path) {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
