/** `virtslad help [COMMAND]` and `--help`: pages of text from the verbs' own words. Pure but for the verb at the end. */
import { VirtsladError } from '../errors.js';
import { CONFIG_FLAGS, HELP, OUTPUT, unknownVerb } from './arguments.js';
import { styleFor } from './render/style.js';
import { EXIT_DONE, type FlagSpec, USUAL_EXITS, type Verb } from './verb.js';

/** Prose is easiest to read at this width or less. */
const LINE_WIDTH = 88;

export function renderOverview(verbs: readonly Verb[], color: boolean): string {
  const style = styleFor(color);
  const width = Math.max(...verbs.map(({ name }) => name.length)) + 2;
  const out = [
    'virtslad keeps what every guest of this KVM host was promised, and proves it.',
    '',
    `${style.bold('Usage:')} virtslad COMMAND [FLAGS]`,
    '',
    style.bold('Commands'),
    ...verbs.map((verb) => `  ${style.cyan(verb.name.padEnd(width))}${verb.summary}`),
    '',
    style.bold('Start here'),
    '  virtslad check policies/        are these policies good?',
    '  virtslad plan                   what would they change?',
    '  virtslad run --mode observe     watch, and write nothing',
    '  virtslad explain db-1           why does this guest have these values?',
    '',
    'virtslad help COMMAND shows its flags, examples and exit codes; virtslad --version the version.',
  ];
  return `${out.join('\n')}\n`;
}

export function renderHelp(verb: Verb, color: boolean): string {
  const style = styleFor(color);
  const out = [`${style.bold('Usage:')} virtslad ${synopsisOf(verb)}`, ''];
  for (const paragraph of [`${verb.summary}.`, ...verb.about]) out.push(...wrap(plain(paragraph), LINE_WIDTH), '');
  if (verb.argument !== undefined) {
    out.push(style.bold('Argument'), ...definition(verb.argument.name, verb.argument.summary), '');
  }
  const own = [...verb.flags, ...(verb.reads ? [OUTPUT] : []), HELP];
  out.push(style.bold('Flags'), ...own.flatMap((flag) => definition(flagWords(flag), flag.summary)), '');
  if (verb.configured) {
    const flags = CONFIG_FLAGS.flatMap((flag) => definition(flagWords(flag), flag.summary));
    out.push(style.bold('Configuration flags, each winning over the configuration file'), ...flags, '');
  }
  out.push(style.bold('Examples'));
  for (const [command, what] of verb.examples) out.push(`  ${style.cyan(command)}`, `      ${what}`);
  out.push(
    '',
    style.bold('Exit codes'),
    ...verb.exits.map(([code, meaning]) => `  ${String(code).padStart(2)}  ${meaning}`),
  );
  return `${out.join('\n')}\n`;
}

/** `hold DOMAIN [--for DURATION]` */
export function synopsisOf(verb: Verb): string {
  const words = [verb.name];
  if (verb.argument !== undefined) {
    const { name, least, most } = verb.argument;
    const shown = most > 1 ? `${name}…` : name;
    words.push(least === 0 ? `[${shown}]` : shown);
  }
  for (const flag of verb.flags) {
    const value = flag.value === undefined ? '' : ` ${flag.value}`;
    words.push(flag.summary.startsWith('Required') ? `--${flag.name}${value}` : `[--${flag.name}${value}]`);
  }
  if (verb.reads) words.push('[-o text|json]');
  return words.join(' ');
}

/** `-o, --output FORMAT` */
export function flagWords(flag: FlagSpec): string {
  const short = flag.short === undefined ? '' : `-${flag.short}, `;
  return `${short}--${flag.name}${flag.value === undefined ? '' : ` ${flag.value}`}`;
}

export function createHelp(verbs: () => readonly Verb[], planned: readonly string[]): Verb {
  return {
    name: 'help',
    summary: 'Show what a command does, its flags, examples and exit codes',
    about: ['Without a command: the list of commands. `virtslad COMMAND --help` shows the same.'],
    argument: { name: 'COMMAND', summary: 'A command', least: 0, most: 1 },
    flags: [],
    configured: false,
    reads: false,
    examples: [['virtslad help plan', 'about one command']],
    exits: USUAL_EXITS,
    async run(context) {
      const [name] = context.arguments;
      const { out } = context;
      if (name === undefined) {
        out.write(renderOverview(verbs(), out.color));
        return EXIT_DONE;
      }
      const verb = verbs().find((candidate) => candidate.name === name);
      if (verb === undefined) throw new VirtsladError(unknownVerb(name, verbs(), planned));
      out.write(renderHelp(verb, out.color));
      return EXIT_DONE;
    },
  };
}

/** The term on a line of its own when it is long, its meaning indented. */
function definition(term: string, meaning: string): string[] {
  const [first = '', ...rest] = wrap(plain(meaning), LINE_WIDTH - 28);
  const indent = ' '.repeat(28);
  const head = `  ${term}`;
  const lines = head.length < 27 ? [head.padEnd(28) + first] : [head, indent + first];
  return [...lines, ...rest.map((line) => indent + line)];
}

export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

/** The words are written for the reference page, where backquotes mark code. */
function plain(text: string): string {
  return text.replaceAll('`', '');
}
