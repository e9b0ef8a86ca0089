/** The reference page of the command line as Markdown, from the verbs' own words: the text of docs/reference/cli.md. */
import { CONFIG_FLAGS, HELP, OUTPUT } from './arguments.js';
import { flagWords, synopsisOf } from './help.js';
import type { FlagSpec, Verb } from './verb.js';
import { PLANNED_VERBS, VERBS } from './verbs.js';

export function cliReference(verbs: readonly Verb[] = VERBS): string {
  return `${[INTRODUCTION, overview(verbs), ...verbs.map(section), configurationFlags(), CONVENTIONS].join('\n\n')}\n`;
}

const INTRODUCTION = `# Command reference

<!-- Generated from the code by \`npm run generate\`; do not edit. -->

\`virtslad COMMAND [FLAGS]\`. The same pages are in \`virtslad help COMMAND\`. Not built yet: ${PLANNED_VERBS.map((name) => `\`${name}\``).join(', ')}.`;

const CONVENTIONS = `## Conventions

- Results go to stdout, errors, warnings and the log to stderr. With \`-o json\` stdout is one JSON document.
- An error reads \`WHERE: error: WHAT [CODE]\` and, on the next line, what to do. WHERE is \`file:line:column\` for text. The codes are stable: [errors](errors.md).
- Exit codes: 0 done, 1 error, 2 changes pending (\`plan --detailed-exitcode\`), 78 \`run\` or \`apply\` cannot start for its configuration, 130 interrupted.
- Colour on a terminal only. \`NO_COLOR\` turns it off, \`FORCE_COLOR=1\` on for pipes.
- Guest names are shown with control characters escaped (\`\\u001b\`), in one line.
- With a daemon running, \`apply\`, \`release\`, \`hold\` and \`resume\` go through its socket, and \`status\` and \`explain\` show what it last saw. Without one they do the work themselves; those that write take the same lock as the daemon. \`check\`, \`plan\`, \`history\`, \`rules\` and \`schema\` never need it.`;

function overview(verbs: readonly Verb[]): string {
  const rows = verbs.map(({ name, summary }) => `| [\`${name}\`](#${name}) | ${cell(summary)} |`);
  return ['| Command | What it does |', '| --- | --- |', ...rows].join('\n');
}

function section(verb: Verb): string {
  const blocks = [`## ${verb.name}`, `\`virtslad ${synopsisOf(verb)}\``, `${verb.summary}.`, ...verb.about];
  const own = [...verb.flags, ...(verb.reads ? [OUTPUT] : []), HELP];
  const argument = verb.argument === undefined ? [] : [[verb.argument.name, verb.argument.summary] as const];
  blocks.push(table('Argument or flag', [...argument, ...own.map(flagRow)]));
  if (verb.configured) blocks.push('Takes the [configuration flags](#configuration-flags) too.');
  blocks.push(['```sh', ...verb.examples.flatMap(([command, what]) => [`# ${what}`, command]), '```'].join('\n'));
  blocks.push(`Exit codes: ${verb.exits.map(([code, meaning]) => `${code} ${meaning}`).join('; ')}.`);
  return blocks.join('\n\n');
}

function configurationFlags(): string {
  return [
    '## Configuration flags',
    'They win over the [configuration file](configuration.md). They may stand before the command too.',
    table('Flag', CONFIG_FLAGS.map(flagRow)),
  ].join('\n\n');
}

function flagRow(flag: FlagSpec): readonly [string, string] {
  return [flagWords(flag), flag.summary];
}

function table(title: string, rows: readonly (readonly [string, string])[]): string {
  return [
    `| ${title} | Meaning |`,
    '| --- | --- |',
    ...rows.map(([term, meaning]) => `| \`${cell(term)}\` | ${cell(meaning)} |`),
  ].join('\n');
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
