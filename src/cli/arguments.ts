/**
 * The command line's words → a verb, its flags and its arguments, or the problems with them. Pure. The common flags
 * may stand before the verb too.
 */
import { parseArgs } from 'node:util';
import { CONFIG_KEY_NAMES, CONFIG_KEYS } from '../config/keys.js';
import { nearest } from '../config/suggest.js';
import type { Problem } from '../errors.js';
import { printable } from '../text/printable.js';
import { type FlagSpec, usage, type Verb } from './verb.js';

export const HELP: FlagSpec = { name: 'help', short: 'h', summary: 'Show this help' };
export const VERSION: FlagSpec = { name: 'version', summary: 'Show the version' };
export const OUTPUT: FlagSpec = {
  name: 'output',
  short: 'o',
  value: 'FORMAT',
  choices: ['text', 'json'],
  summary: '`text` for people (default), or one `json` document for machines',
};
export const CONFIG: FlagSpec = {
  name: 'config',
  value: 'FILE',
  summary: 'Configuration file (default /etc/virtslad/virtslad.yaml, which may be missing)',
};

/** `--config` and a flag for each key of the configuration that has one. */
export const CONFIG_FLAGS: readonly FlagSpec[] = [
  CONFIG,
  ...CONFIG_KEY_NAMES.filter((name) => CONFIG_KEYS[name].flag).map((name) => ({
    name,
    value: CONFIG_KEYS[name].placeholder,
    summary: `${CONFIG_KEYS[name].summary} Default ${CONFIG_KEYS[name].default}.`,
  })),
];

/** Every flag that the verb takes. */
export function flagsOf(verb: Verb): readonly FlagSpec[] {
  return [...verb.flags, ...(verb.reads ? [OUTPUT] : []), ...(verb.configured ? CONFIG_FLAGS : []), HELP];
}

export interface Invocation {
  readonly verb: Verb;
  readonly flags: Readonly<Record<string, string | true>>;
  readonly arguments: readonly string[];
}

export type ParsedCommand =
  | { readonly kind: 'run'; readonly invocation: Invocation }
  | { readonly kind: 'help'; readonly verb: Verb | null }
  | { readonly kind: 'version' }
  | { readonly kind: 'wrong'; readonly verb: Verb | null; readonly problems: readonly Problem[] };

/** `planned`: verbs that are known and not built yet. */
export function parseCommand(
  words: readonly string[],
  verbs: readonly Verb[],
  planned: readonly string[],
): ParsedCommand {
  // To find the verb, the flags before it have to be known; after `--` no word is a verb.
  const verbAt = findVerb(words);
  if (verbAt === null) {
    const tokens = tokenize(words, [...CONFIG_FLAGS, HELP, VERSION]);
    if (has(tokens, VERSION)) return { kind: 'version' };
    const wrong = checkFlags(tokens, [...CONFIG_FLAGS, HELP, VERSION], null).problems;
    return wrong.length > 0 ? { kind: 'wrong', verb: null, problems: wrong } : { kind: 'help', verb: null };
  }
  const name = words[verbAt] ?? '';
  const verb = verbs.find((candidate) => candidate.name === name);
  if (verb === undefined) return { kind: 'wrong', verb: null, problems: [unknownVerb(name, verbs, planned)] };
  const specs = flagsOf(verb);
  const tokens = tokenize([...words.slice(0, verbAt), ...words.slice(verbAt + 1)], specs);
  if (has(tokens, HELP)) return { kind: 'help', verb };
  if (has(tokens, VERSION)) return { kind: 'version' };
  const { flags, problems } = checkFlags(tokens, specs, verb);
  const given = tokens.filter((token) => token.kind === 'positional').map((token) => token.value);
  problems.push(...checkArguments(given, verb));
  if (problems.length > 0) return { kind: 'wrong', verb, problems };
  return { kind: 'run', invocation: { verb, flags, arguments: given } };
}

type Token = NonNullable<ReturnType<typeof parseArgs<{ strict: false; tokens: true }>>['tokens']>[number];

function tokenize(words: readonly string[], specs: readonly FlagSpec[]): Token[] {
  const options = Object.fromEntries(
    specs.map(({ name, short, value }) => [
      name,
      {
        type: value === undefined ? ('boolean' as const) : ('string' as const),
        ...(short === undefined ? {} : { short }),
      },
    ]),
  );
  return parseArgs({ args: [...words], options, strict: false, allowPositionals: true, tokens: true }).tokens;
}

function has(tokens: readonly Token[], flag: FlagSpec): boolean {
  return tokens.some((token) => token.kind === 'option' && token.name === flag.name);
}

/** Index of the first word that is neither a flag nor the value of one. */
function findVerb(words: readonly string[]): number | null {
  const tokens = tokenize(words, [...CONFIG_FLAGS, OUTPUT, HELP, VERSION]);
  const first = tokens.find((token) => token.kind === 'positional' || token.kind === 'option-terminator');
  return first?.kind === 'positional' ? first.index : null;
}

function checkFlags(
  tokens: readonly Token[],
  specs: readonly FlagSpec[],
  verb: Verb | null,
): { flags: Record<string, string | true>; problems: Problem[] } {
  const flags: Record<string, string | true> = Object.create(null) as Record<string, string | true>;
  const problems: Problem[] = [];
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    const spec = specs.find((candidate) => candidate.name === token.name);
    const shown = printable(token.rawName);
    if (spec === undefined) {
      problems.push(unknownFlag(token.rawName, specs, verb));
    } else if (spec.value === undefined) {
      if (token.value === undefined) flags[spec.name] = true;
      else problems.push(usage(`${shown} takes no value`, `write ${shown} alone`));
    } else if (token.value === undefined || (!token.inlineValue && /^-./.test(token.value))) {
      const example = spec.choices === undefined ? spec.value : spec.choices.join('|');
      problems.push(usage(`${shown} needs a value`, `write ${shown} ${example}`));
    } else if (spec.choices !== undefined && !spec.choices.includes(token.value)) {
      const meant = nearest(token.value, spec.choices);
      const fix = meant === null ? `write ${spec.choices.join(' or ')}` : `did you mean ${meant}?`;
      problems.push(usage(`${shown} does not accept "${printable(token.value)}"`, fix));
    } else {
      flags[spec.name] = token.value;
    }
  }
  return { flags, problems };
}

function checkArguments(given: readonly string[], verb: Verb): Problem[] {
  const spec = verb.argument;
  const help = `see virtslad help ${verb.name}`;
  const most = spec?.most ?? 0;
  if (given.length < (spec?.least ?? 0)) return [usage(`virtslad ${verb.name} needs ${spec?.name ?? ''}`, help)];
  const surplus = given[most];
  return surplus === undefined ? [] : [usage(`surplus argument "${printable(surplus)}"`, help)];
}

function unknownFlag(rawName: string, specs: readonly FlagSpec[], verb: Verb | null): Problem {
  const names = specs.flatMap(({ name, short }) => [`--${name}`, ...(short === undefined ? [] : [`-${short}`])]);
  const meant = nearest(rawName, names);
  const of = verb === null ? 'virtslad' : `virtslad ${verb.name}`;
  return {
    code: 'CLI_UNKNOWN_FLAG',
    message: `${of} has no flag ${printable(rawName)}`,
    fix:
      meant === null || rawName.length < 3
        ? `see ${verb === null ? 'virtslad help' : `virtslad help ${verb.name}`}`
        : `did you mean ${meant}?`,
  };
}

export function unknownVerb(name: string, verbs: readonly Verb[], planned: readonly string[]): Problem {
  if (planned.includes(name)) {
    const fix = 'see virtslad help for what there is';
    return { code: 'CLI_NOT_BUILT', message: `virtslad ${name} is not built yet`, fix };
  }
  const names = verbs.map((verb) => verb.name);
  const meant = nearest(name, names);
  return {
    code: 'CLI_UNKNOWN_VERB',
    message: `there is no command ${printable(name)}`,
    fix: meant === null ? `commands: ${names.join(', ')}` : `did you mean virtslad ${meant}?`,
  };
}
