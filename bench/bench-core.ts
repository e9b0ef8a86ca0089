/** The daemon's core over a host of the benchmark: what is in memory there stands in, all else is the product's own. */
import { assemble, type Core } from '../src/assemble.js';
import type { Config } from '../src/config/types.js';
import type { CgroupFiles } from '../src/host/cgroup/kernel-files.js';
import type { SystemdProperties } from '../src/host/systemd/properties.js';
import type { Log } from '../src/log.js';
import type { FakeLibvirt } from '../test/fakes/fake-libvirt.js';
import { NO_SELINUX } from '../test/fakes/fake-security.js';
import { EmulatedDisks, EmulatedTaps } from '../test/reconcile/emulated-devices.js';

export const SILENT: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

export interface CoreOptions {
  readonly watch?: boolean;
  readonly log?: Log;
  /** Told of each write to a cgroup file, right after it. */
  onWrite?(): void;
}

export interface CoreParts extends CoreOptions {
  readonly config: Config;
  readonly libvirt: FakeLibvirt;
  readonly files: CgroupFiles;
  readonly systemd: SystemdProperties;
}

/** Nothing has been looked at yet. */
export function assembleBench(parts: CoreParts): Core {
  const { config, files, libvirt, log = SILENT, onWrite, systemd, watch = true } = parts;
  const noted: CgroupFiles = {
    ...files,
    write(fd, text) {
      files.write(fd, text);
      onWrite?.();
    },
  };
  const core = assemble({
    config,
    log,
    version: '0.0.0',
    write: true,
    watch,
    onCycle: () => undefined,
    instead: {
      libvirt,
      systemd,
      cgroupFiles: onWrite === undefined ? files : noted,
      block: new EmulatedDisks().block,
      taps: new EmulatedTaps(),
      security: { status: { read: () => NO_SELINUX } },
      // Guarantees of thousands of guests must fit.
      host: { cores: 1 << 16, cpus: [0, 1], memoryBytes: 2 ** 44, pageBytes: 4096 },
    },
  });
  libvirt.onEvent((event) => core.events.onLibvirt(event));
  return core;
}

export interface ConfigPaths {
  readonly root: string;
  readonly policyDir: string;
  readonly stateDir: string;
  readonly cgroup: string;
  readonly proc: string;
  readonly runLibvirt: string;
}

export function benchConfig(paths: ConfigPaths, manageUuids: readonly string[] | null): Config {
  const { root, policyDir, stateDir, cgroup, proc, runLibvirt } = paths;
  return {
    configFile: null,
    policyDir,
    stateDir,
    runDir: root,
    mode: 'enforce',
    libvirtUri: 'qemu:///system',
    listenAddress: '127.0.0.1:0',
    killSwitch: `${root}/stop`,
    paths: { cgroup, proc, runLibvirt, libvirtSave: root },
    log: { level: 'error', format: 'json' },
    cycleSeconds: 5,
    blastRadius: { percent: 100, domains: 1_000_000 },
    manage: { uuids: manageUuids, names: null },
  };
}
