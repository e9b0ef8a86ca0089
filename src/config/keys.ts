/**
 * Every key of the daemon's configuration, once: what it accepts, its default, what it means, whether a flag of the
 * same name exists and whether a reload takes it. The file's schema, the flags and the reference page derive from here.
 */
import * as z from 'zod';
import { parseDuration } from '../units.js';

export interface ConfigKey<S extends z.ZodType = z.ZodType> {
  /** Takes the value as YAML or a flag gives it; its output is in base units. Messages end with what to write. */
  readonly schema: S;
  /** As one would write it; null: not set. `RUN_DIR` stands for the value of `run-dir`. */
  readonly default: string | null;
  readonly summary: string;
  /** What the value looks like: `DIR`, `enforce|observe`. */
  readonly placeholder: string;
  /** True when `--KEY` exists. */
  readonly flag: boolean;
  /** `reload`: SIGHUP takes a new value; `restart`: it is taken at the next start. */
  readonly takes: 'reload' | 'restart';
}

function oneOf<const T extends readonly [string, ...string[]]>(...choices: T) {
  return z.enum(choices, { error: `write ${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}` });
}

const path = z
  .string({ error: 'write an absolute path' })
  .refine((text) => text.startsWith('/') && !text.includes('\0'), { error: 'write an absolute path' });

const LISTEN = 'write HOST:PORT, such as 127.0.0.1:19177, [::1]:19177 or :19177 for every address';
const listenAddress = z.string({ error: LISTEN }).refine(isListenAddress, { error: LISTEN });

const LIBVIRT_URI = 'write a libvirt URI such as qemu:///system, or none';
const libvirtUri = z
  .string({ error: LIBVIRT_URI })
  .refine((text) => text === 'none' || /^[a-z][a-z0-9+.-]*:\/\/\S*$/.test(text), { error: LIBVIRT_URI })
  .transform((text) => (text === 'none' ? null : text));

const CYCLE = 'write a duration from 100ms to 10m, such as 5s';
const cycle = z.string({ error: CYCLE }).transform((text, context) => {
  const parsed = parseDuration(text);
  if (parsed.ok && parsed.value >= 0.1 && parsed.value <= 600) return parsed.value;
  context.addIssue({ code: 'custom', message: CYCLE });
  return z.NEVER;
});

const PERCENT = 'write a number from 0 to 100';
const percent = z.number({ error: PERCENT }).min(0, { error: PERCENT }).max(100, { error: PERCENT });

const COUNT = 'write a whole number, 0 or more';
const count = z.int({ error: COUNT }).min(0, { error: COUNT });

const UUID = 'write a domain uuid such as 4dea22b3-1d52-d8f3-2516-782e98ab3fa0';
const uuid = z
  .string({ error: UUID })
  .regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i, { error: UUID })
  .transform((text) => text.toLowerCase());

const LIST = 'write a list with at least one entry, or leave the key out';
const name = z.string({ error: 'write a guest name as text' }).min(1, { error: 'write a guest name' });

function list<S extends z.ZodType>(entry: S) {
  return z.array(entry, { error: LIST }).min(1, { error: LIST });
}

function key<S extends z.ZodType>(spec: ConfigKey<S>): ConfigKey<S> {
  return spec;
}

export const CONFIG_KEYS = {
  'policy-dir': key({
    schema: path,
    default: '/etc/virtslad/policies.d',
    summary: 'Directory of the policy files, `*.yaml`, read in lexical order; dotfiles are ignored.',
    placeholder: 'DIR',
    flag: true,
    takes: 'restart',
  }),
  mode: key({
    schema: oneOf('enforce', 'observe'),
    default: 'enforce',
    summary: '`enforce` writes what the policies ask; `observe` looks, plans and reports, and writes no guest value.',
    placeholder: 'enforce|observe',
    flag: true,
    takes: 'restart',
  }),
  'libvirt-uri': key({
    schema: libvirtUri,
    default: 'qemu:///system',
    summary: 'libvirt connection, or `none` to work without libvirt.',
    placeholder: 'URI|none',
    flag: true,
    takes: 'restart',
  }),
  'state-dir': key({
    schema: path,
    default: '/var/lib/virtslad',
    summary: 'Directory of what outlives the daemon: originals, history, hands-off marks, the accepted generation.',
    placeholder: 'DIR',
    flag: true,
    takes: 'restart',
  }),
  'run-dir': key({
    schema: path,
    default: '/run/virtslad',
    summary: 'Directory of the lock and of the control socket `virtslad.sock`.',
    placeholder: 'DIR',
    flag: true,
    takes: 'restart',
  }),
  'kill-switch': key({
    schema: path,
    default: 'RUN_DIR/stop',
    summary: 'While this file exists, nothing is written.',
    placeholder: 'FILE',
    flag: true,
    takes: 'restart',
  }),
  'web.listen-address': key({
    schema: listenAddress,
    default: '127.0.0.1:19177',
    summary: 'Address of `/metrics`, the read-only API and the page for people.',
    placeholder: 'ADDR',
    flag: true,
    takes: 'restart',
  }),
  cycle: key({
    schema: cycle,
    default: '5s',
    summary: 'Time between two looks at everything, 100ms to 10m. Changes are seen at once; this is the backstop.',
    placeholder: 'DURATION',
    flag: true,
    takes: 'restart',
  }),
  'blast-radius.percent': key({
    schema: percent,
    default: '20',
    summary:
      'Percent of all guests whose desired values a new policy generation may change before it waits for ' +
      '`virtslad apply --once --acknowledge`. The larger of the two `blast-radius` limits counts.',
    placeholder: 'NUMBER',
    flag: false,
    takes: 'restart',
  }),
  'blast-radius.domains': key({
    schema: count,
    default: '5',
    summary: 'Number of guests that a new policy generation may always change.',
    placeholder: 'NUMBER',
    flag: false,
    takes: 'restart',
  }),
  'manage.uuids': key({
    schema: list(uuid),
    default: null,
    summary: 'Only guests listed here or in `manage.names` are ever managed; all others are seen and left alone.',
    placeholder: 'LIST',
    flag: false,
    takes: 'restart',
  }),
  'manage.names': key({
    schema: list(name),
    default: null,
    summary: 'The same by exact guest name. For trying virtslad on a few guests first.',
    placeholder: 'LIST',
    flag: false,
    takes: 'restart',
  }),
  'log.level': key({
    schema: oneOf('debug', 'info', 'warn', 'error'),
    default: 'info',
    summary: 'The least important lines that are still logged.',
    placeholder: 'debug|info|warn|error',
    flag: true,
    takes: 'restart',
  }),
  'log.format': key({
    schema: oneOf('text', 'logfmt', 'json'),
    default: 'text',
    summary: '`text` for people; `logfmt` or `json` for machines, one line each.',
    placeholder: 'text|logfmt|json',
    flag: true,
    takes: 'restart',
  }),
  'path.cgroup': key({
    schema: path,
    default: '/sys/fs/cgroup',
    summary: 'Where the cgroup hierarchies are mounted.',
    placeholder: 'DIR',
    flag: true,
    takes: 'restart',
  }),
  'path.proc': key({
    schema: path,
    default: '/proc',
    summary: 'Where procfs is mounted.',
    placeholder: 'DIR',
    flag: true,
    takes: 'restart',
  }),
  'path.run-libvirt': key({
    schema: path,
    default: '/run/libvirt',
    summary: 'Run directory of libvirt, with the pid files of the guests.',
    placeholder: 'DIR',
    flag: true,
    takes: 'restart',
  }),
  'path.libvirt-save': key({
    schema: path,
    default: '/var/lib/libvirt/qemu/save',
    summary: 'Where libvirt keeps saved guests; looked at for free space before one is saved for a new label.',
    placeholder: 'DIR',
    flag: true,
    takes: 'restart',
  }),
} as const;

export type ConfigKeyName = keyof typeof CONFIG_KEYS;

/** What each key's schema puts out. */
export type ConfigValues = { [K in ConfigKeyName]: z.output<(typeof CONFIG_KEYS)[K]['schema']> };

export const CONFIG_KEY_NAMES = Object.keys(CONFIG_KEYS) as readonly ConfigKeyName[];

/** The key of that name; undefined when there is none. */
export function configKey(name: string): ConfigKey | undefined {
  return Object.hasOwn(CONFIG_KEYS, name) ? CONFIG_KEYS[name as ConfigKeyName] : undefined;
}

function isListenAddress(text: string): boolean {
  const match = /^(?:\[[0-9a-f:.]+\]|[^:[\]\s]*):(\d{1,5})$/i.exec(text);
  return match !== null && Number(match[1]) <= 65_535;
}
