/** `virtslad completion bash|zsh|fish`: a completion script on stdout. Guest names come from the running daemon. */
import { join } from 'node:path';
import { nearest } from '../config/suggest.js';
import { VirtsladError } from '../errors.js';
import { flagsOf } from './arguments.js';
import { bashCompletion, fishCompletion, type Grammar, zshCompletion } from './completion-scripts.js';
import { EXIT_DONE, USUAL_EXITS, usage, type Verb } from './verb.js';

const SHELLS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } as const;

/** Names that mean something to a shell are left out of completion; they can still be typed. */
const PLAIN_NAME = /^[A-Za-z0-9][A-Za-z0-9_.:@+-]*$/;

/** `verbs`: all of them, this one included once it is made. */
export function createCompletion(verbs: () => readonly Verb[]): Verb {
  return {
    name: 'completion',
    summary: 'Print a completion script for bash, zsh or fish',
    about: ['Completes commands, flags, their values, and the names of guests while the daemon runs.'],
    argument: { name: 'SHELL', summary: 'bash, zsh or fish', least: 0, most: 1 },
    flags: [{ name: 'guests', summary: 'Print the names of the guests, one a line; the scripts call this' }],
    configured: true,
    reads: false,
    examples: [
      ['source <(virtslad completion bash)', 'in this shell'],
      ['virtslad completion bash > /etc/bash_completion.d/virtslad', 'in every bash'],
      ['virtslad completion zsh > /usr/local/share/zsh/site-functions/_virtslad', 'zsh'],
      ['virtslad completion fish > ~/.config/fish/completions/virtslad.fish', 'fish'],
    ],
    exits: USUAL_EXITS,
    async run(context) {
      if (context.flags.guests === true) {
        const daemon = await context.services.connectSocket(join(context.config().runDir, 'virtslad.sock'));
        const snapshot = await daemon?.snapshot();
        const names = snapshot?.domains.map(({ name }) => name).filter((name) => PLAIN_NAME.test(name)) ?? [];
        context.out.write([...new Set(names)].map((name) => `${name}\n`).join(''));
        return EXIT_DONE;
      }
      const shell = context.arguments[0] ?? '';
      if (!Object.hasOwn(SHELLS, shell)) throw new VirtsladError(unknownShell(shell));
      context.out.write(SHELLS[shell as keyof typeof SHELLS](grammarOf(verbs())));
      return EXIT_DONE;
    },
  };
}

export function grammarOf(verbs: readonly Verb[]): Grammar {
  return {
    verbs: verbs.map((verb) => ({
      name: verb.name,
      summary: verb.summary,
      argument: verb.argument?.name ?? null,
      flags: flagsOf(verb).map(({ name, short, value, choices, summary }) => ({
        name,
        short: short ?? null,
        value: value ?? null,
        choices: choices ?? (value !== undefined && /^[a-z]+(\|[a-z]+)+$/.test(value) ? value.split('|') : []),
        summary: summary.replaceAll('`', ''),
      })),
    })),
  };
}

function unknownShell(shell: string) {
  const meant = nearest(shell, Object.keys(SHELLS));
  const message = shell === '' ? 'no shell was given' : `there is no completion for ${JSON.stringify(shell)}`;
  return usage(message, meant === null ? 'write bash, zsh or fish' : `did you mean ${meant}?`);
}
