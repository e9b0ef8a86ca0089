/**
 * Configuration from defaults, the file and the flags, in that order: the later wins. Every problem of file and flags
 * is found at once and thrown as one VirtsladError with positions.
 */
import { resolve } from 'node:path';
import { type Problem, VirtsladError } from '../errors.js';
import { CONFIG_KEY_NAMES, CONFIG_KEYS, type ConfigValues, configKey } from './keys.js';
import { parseConfigText, valueProblem } from './parse.js';
import { readTrusted } from './trusted-read.js';
import type { Config } from './types.js';

export const DEFAULT_CONFIG_FILE = '/etc/virtslad/virtslad.yaml';

export interface ConfigSources {
  /** `--config`; null: the default file, which may be missing. */
  readonly file: string | null;
  /** Flag name without dashes → value as given. */
  readonly flags: Readonly<Record<string, string>>;
  /** Relative paths in flags start here. */
  readonly workingDirectory: string;
  /** Other place of the default file, for tests. */
  readonly defaultFile?: string;
}

/** Throws VirtsladError with every problem of the file and the flags. */
export function loadConfig(sources: ConfigSources): Config {
  const problems: Problem[] = [];
  const path =
    sources.file === null
      ? (sources.defaultFile ?? DEFAULT_CONFIG_FILE)
      : resolve(sources.workingDirectory, sources.file);
  const text = readTrusted(path, sources.file === null, problems);
  const values = {
    ...defaults(),
    ...(text === null ? {} : parseConfigText(path, text, problems)),
    ...parseFlags(sources.flags, sources.workingDirectory, problems),
  };
  if (problems.length > 0) throw new VirtsladError(problems);
  return toConfig(values as ConfigValues, text === null ? null : path);
}

function parseFlags(
  flags: ConfigSources['flags'],
  workingDirectory: string,
  problems: Problem[],
): Partial<ConfigValues> {
  const values: Record<string, unknown> = {};
  for (const [name, text] of Object.entries(flags)) {
    const spec = configKey(name);
    if (spec === undefined) continue;
    const isPath = spec.placeholder === 'DIR' || spec.placeholder === 'FILE';
    const result = spec.schema.safeParse(isPath && text !== '' ? resolve(workingDirectory, text) : text);
    if (result.success) values[name] = result.data;
    else problems.push(valueProblem(`--${name}`, text, result.error.issues[0]?.message));
  }
  return values as Partial<ConfigValues>;
}

function defaults(): Partial<ConfigValues> {
  const values: Record<string, unknown> = {};
  for (const name of CONFIG_KEY_NAMES) {
    const spec = CONFIG_KEYS[name];
    // `RUN_DIR/…` depends on another key and is filled in by toConfig.
    if (spec.default === null || spec.default.startsWith('RUN_DIR')) continue;
    values[name] = spec.schema.parse(/^\d+$/.test(spec.default) ? Number(spec.default) : spec.default);
  }
  return values as Partial<ConfigValues>;
}

function toConfig(values: Partial<ConfigValues> & Omit<ConfigValues, OptionalKey>, configFile: string | null): Config {
  return {
    configFile,
    policyDir: values['policy-dir'],
    stateDir: values['state-dir'],
    runDir: values['run-dir'],
    mode: values.mode,
    libvirtUri: values['libvirt-uri'],
    listenAddress: values['web.listen-address'],
    killSwitch: values['kill-switch'] ?? `${values['run-dir'].replace(/\/+$/, '')}/stop`,
    paths: {
      cgroup: values['path.cgroup'],
      proc: values['path.proc'],
      runLibvirt: values['path.run-libvirt'],
      libvirtSave: values['path.libvirt-save'],
    },
    log: { level: values['log.level'], format: values['log.format'] },
    cycleSeconds: values.cycle,
    blastRadius: { percent: values['blast-radius.percent'], domains: values['blast-radius.domains'] },
    manage: { uuids: values['manage.uuids'] ?? null, names: values['manage.names'] ?? null },
  };
}

type OptionalKey = 'kill-switch' | 'manage.uuids' | 'manage.names';
