/**
 * QEMU's command line as options and their properties, as QEMU itself takes it apart: words to options, `a=1,b=x,,y` or
 * JSON to properties. Pure. The words may be anybody's: sizes are capped, and no name from them becomes a key of an
 * ordinary object. Source: qemu-options.hx, util/keyval.c, util/qemu-option.c.
 */

export interface QemuOption {
  /** Without its dashes: QEMU takes `--name` for `-name`. */
  readonly name: string;
  /** Empty for an option that takes none. */
  readonly value: string;
}

export type Properties = ReadonlyMap<string, string>;

const OPTIONS_MAX = 20_000;
const PROPERTIES_MAX = 500;
const JSON_LENGTH_MAX = 64 * 1024;
const JSON_DEPTH_MAX = 8;

/** Options without a value, of all versions since 2.0. */
const FLAGS = new Set(
  (
    'h help version S s snapshot nographic portrait full-screen alt-grab ctrl-grab no-frame no-quit sdl curses usb ' +
    'win2k-hack no-fd-bootchk no-acpi no-hpet no-reboot no-shutdown no-kvm no-kvm-irqchip no-kvm-pit nodefaults ' +
    'no-user-config nouserconfig no-nodefconfig nodefconfig enable-kvm daemonize mem-prealloc preconfig singlestep ' +
    'one-insn-per-tb only-migratable xen-attach xen-create xen-domid-restrict async-teardown enable-fips ' +
    'enable-sync-profile semihosting old-param localtime show-cursor audio-help'
  ).split(' '),
);

/** The options in order. A word that is none is a disk image, QEMU's `-hda`. */
export function parseOptions(argv: readonly string[]): QemuOption[] {
  const options: QemuOption[] = [];
  for (let at = 1; at < argv.length && options.length < OPTIONS_MAX; at++) {
    const word = argv[at] as string;
    if (!word.startsWith('-') || word === '-') {
      options.push({ name: 'hda', value: word });
      continue;
    }
    const name = word.replace(/^--?/, '');
    const value = argv[at + 1];
    if (FLAGS.has(name) || value === undefined) options.push({ name, value: '' });
    else {
      options.push({ name, value });
      at += 1;
    }
  }
  return options;
}

/** The values of all options of that name, in order. */
export function valuesOf(options: readonly QemuOption[], ...names: readonly string[]): string[] {
  return options.filter(({ name }) => names.includes(name)).map(({ value }) => value);
}

/** True when the option is there. */
export function has(options: readonly QemuOption[], ...names: readonly string[]): boolean {
  return options.some(({ name }) => names.includes(name));
}

/**
 * `guest=db,debug-threads=on` to properties. The first may stand without its key, `impliedKey` (null: there is none); another
 * one without a value is `on`. JSON's nested keys are joined by dots, as in the other form: `file.filename`.
 */
export function parseProperties(text: string, impliedKey: string | null): Properties {
  if (text.startsWith('{')) return fromJson(text);
  const properties = new Map<string, string>();
  for (const [index, part] of splitAtCommas(text).entries()) {
    if (properties.size >= PROPERTIES_MAX) break;
    const equals = part.indexOf('=');
    if (equals >= 0) properties.set(part.slice(0, equals), part.slice(equals + 1));
    else if (index === 0 && impliedKey !== null) properties.set(impliedKey, part);
    else if (part !== '') properties.set(part, 'on');
  }
  return properties;
}

/** All options of one kind as one: what comes later wins, key by key. */
export function merged(texts: readonly string[], impliedKey: string | null): Properties {
  return new Map(texts.flatMap((text) => [...parseProperties(text, impliedKey)]));
}

/** QEMU's words for true. */
export function isOn(value: string | undefined): boolean {
  return value === 'on' || value === 'yes' || value === 'true' || value === 'y';
}

/** A comma that is part of a value is written twice. */
function splitAtCommas(text: string): string[] {
  const parts: string[] = [];
  let part = '';
  for (let at = 0; at < text.length; at++) {
    const comma = text.indexOf(',', at);
    if (comma < 0) {
      part += text.slice(at);
      break;
    }
    part += text.slice(at, comma);
    at = comma;
    if (text[comma + 1] === ',') {
      part += ',';
      at += 1;
      continue;
    }
    parts.push(part);
    part = '';
  }
  parts.push(part);
  return parts;
}

function fromJson(text: string): Properties {
  const properties = new Map<string, string>();
  if (text.length > JSON_LENGTH_MAX) return properties;
  try {
    flatten(JSON.parse(text), '', 0, properties);
  } catch {
    // Not JSON, so QEMU does not run with it either; or its dialect with single quotes, which nobody's tool writes.
  }
  return properties;
}

function flatten(value: unknown, path: string, depth: number, into: Map<string, string>): void {
  if (depth > JSON_DEPTH_MAX || into.size >= PROPERTIES_MAX) return;
  if (value !== null && typeof value === 'object') {
    for (const [key, one] of Object.entries(value)) flatten(one, path === '' ? key : `${path}.${key}`, depth + 1, into);
  } else if (typeof value === 'boolean') into.set(path, value ? 'on' : 'off');
  else if (value !== null) into.set(path, String(value));
}
