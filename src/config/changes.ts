/** The keys whose values differ between two configurations. Pure; a reload logs those that need a restart. */
import { CONFIG_KEY_NAMES, type ConfigKeyName } from './keys.js';
import type { Config } from './types.js';

export interface ChangedKey {
  readonly key: ConfigKeyName;
  readonly from: unknown;
  readonly to: unknown;
}

const READ: { readonly [K in ConfigKeyName]: (config: Config) => unknown } = {
  'policy-dir': (config) => config.policyDir,
  mode: (config) => config.mode,
  'libvirt-uri': (config) => config.libvirtUri ?? 'none',
  'state-dir': (config) => config.stateDir,
  'run-dir': (config) => config.runDir,
  'kill-switch': (config) => config.killSwitch,
  'web.listen-address': (config) => config.listenAddress,
  cycle: (config) => config.cycleSeconds,
  'blast-radius.percent': (config) => config.blastRadius.percent,
  'blast-radius.domains': (config) => config.blastRadius.domains,
  'manage.uuids': (config) => config.manage.uuids,
  'manage.names': (config) => config.manage.names,
  'log.level': (config) => config.log.level,
  'log.format': (config) => config.log.format,
  'path.cgroup': (config) => config.paths.cgroup,
  'path.proc': (config) => config.paths.proc,
  'path.run-libvirt': (config) => config.paths.runLibvirt,
  'path.libvirt-save': (config) => config.paths.libvirtSave,
};

export function changedKeys(before: Config, after: Config): ChangedKey[] {
  return CONFIG_KEY_NAMES.map((key) => ({ key, from: READ[key](before), to: READ[key](after) })).filter(
    ({ from, to }) => JSON.stringify(from) !== JSON.stringify(to),
  );
}
