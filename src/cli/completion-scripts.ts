/**
 * Completion scripts from the grammar of the command line. Pure; each gives the whole script as text. The words in
 * them are ours (verbs, flags), never a guest's: guest names are asked for when the user presses Tab.
 */

export interface GrammarFlag {
  readonly name: string;
  readonly short: string | null;
  /** Placeholder of its value; null for a switch. */
  readonly value: string | null;
  readonly choices: readonly string[];
  readonly summary: string;
}

export interface Grammar {
  readonly verbs: readonly {
    readonly name: string;
    readonly summary: string;
    readonly argument: string | null;
    readonly flags: readonly GrammarFlag[];
  }[];
}

const SHELLS = 'bash zsh fish';
const GUESTS = 'virtslad completion --guests 2>/dev/null';

function isFile(flag: GrammarFlag): boolean {
  return flag.value === 'FILE' || flag.value === 'DIR';
}

/** `--output`, `-o` */
function spellings(flag: GrammarFlag): string[] {
  return [`--${flag.name}`, ...(flag.short === null ? [] : [`-${flag.short}`])];
}

export function bashCompletion(grammar: Grammar): string {
  const { verbs } = grammar;
  const all = new Map(verbs.flatMap((verb) => verb.flags).map((flag) => [flag.name, flag]));
  const values: string[] = [];
  for (const flag of all.values()) {
    const pattern = spellings(flag).join('|');
    if (flag.choices.length > 0) values.push(`    ${pattern}) words="${flag.choices.join(' ')}" ;;`);
    else if (flag.value === 'DIR') values.push(`    ${pattern}) COMPREPLY=($(compgen -d -- "$current")); return ;;`);
    else if (isFile(flag)) values.push(`    ${pattern}) COMPREPLY=($(compgen -f -- "$current")); return ;;`);
    else if (flag.value !== null) values.push(`    ${pattern}) return ;;`);
  }
  const valued = [...all.values()].filter((flag) => flag.value !== null).flatMap(spellings);
  const cases = verbs.map((verb) => {
    const flags = verb.flags.flatMap(spellings).join(' ');
    const words = {
      DOMAIN: `words="$(${GUESTS})"`,
      SHELL: `words="${SHELLS}"`,
      COMMAND: `words="${verbs.map(({ name }) => name).join(' ')}"`,
      PATH: 'COMPREPLY=($(compgen -f -- "$current")); return',
    }[verb.argument ?? ''];
    return `    ${verb.name})\n      if [[ $current == -* ]]; then words="${flags}"; else ${words ?? 'words=""'}; fi ;;`;
  });
  return `# bash completion for virtslad; load it with: source <(virtslad completion bash)
_virtslad() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="" verb="" words="" index
  COMPREPLY=()
  ((COMP_CWORD > 0)) && previous="\${COMP_WORDS[COMP_CWORD - 1]}"
  for ((index = 1; index < COMP_CWORD; index++)); do
    case "\${COMP_WORDS[index]}" in
    ${valued.join('|')}) ((index++)) ;;
    -*) ;;
    *) verb="\${COMP_WORDS[index]}"; break ;;
    esac
  done
  case "$previous" in
${values.join('\n')}
    *)
      case "$verb" in
    "") words="${verbs.map(({ name }) => name).join(' ')} --help --version" ;;
${cases.join('\n')}
      esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o filenames -F _virtslad virtslad
`;
}

export function zshCompletion(grammar: Grammar): string {
  const { verbs } = grammar;
  const list = verbs.map((verb) => `    ${quote(`${verb.name}:${verb.summary.replaceAll(':', '\\:')}`)}`);
  const cases = verbs.map((verb) => {
    const specs = verb.flags.flatMap((flag) => spellings(flag).map((spelling) => quote(zshFlag(flag, spelling))));
    const argument = {
      DOMAIN: "'*:guest:_virtslad_guests'",
      SHELL: `'1:shell:(${SHELLS})'`,
      COMMAND: `'1:command:(${verbs.map(({ name }) => name).join(' ')})'`,
      PATH: "'*:policy:_files'",
    }[verb.argument ?? ''];
    return `    ${verb.name}) _arguments ${[...specs, ...(argument === undefined ? [] : [argument])].join(' ')} ;;`;
  });
  return `#compdef virtslad
# zsh completion for virtslad; put it into a directory of $fpath as _virtslad
_virtslad_guests() {
  local -a guests
  guests=(\${(f)"$(${GUESTS})"})
  compadd -a guests
}

_virtslad() {
  local -a verbs
  verbs=(
${list.join('\n')}
  )
  if ((CURRENT == 2)); then
    _describe command verbs
    return
  fi
  local verb="$words[2]"
  shift words
  ((CURRENT--))
  case "$verb" in
${cases.join('\n')}
  esac
}

if [[ "$funcstack[1]" == _virtslad ]]; then
  _virtslad "$@"
else
  compdef _virtslad virtslad
fi
`;
}

function zshFlag(flag: GrammarFlag, spelling: string): string {
  const summary = flag.summary.replaceAll(/[[\]:]/g, (character) => `\\${character}`);
  if (flag.value === null) return `${spelling}[${summary}]`;
  const values =
    flag.choices.length > 0
      ? `(${flag.choices.join(' ')})`
      : isFile(flag)
        ? flag.value === 'DIR'
          ? '_files -/'
          : '_files'
        : ' ';
  return `${spelling}[${summary}]:${flag.name}:${values}`;
}

export function fishCompletion(grammar: Grammar): string {
  const lines = ['# fish completion for virtslad', 'complete -c virtslad -f'];
  for (const verb of grammar.verbs) {
    lines.push(`complete -c virtslad -n __fish_use_subcommand -a ${verb.name} -d ${quote(verb.summary)}`);
    const inVerb = quote(`__fish_seen_subcommand_from ${verb.name}`);
    for (const flag of verb.flags) {
      const short = flag.short === null ? '' : ` -s ${flag.short}`;
      const value =
        flag.choices.length > 0 ? ` -x -a ${quote(flag.choices.join(' '))}` : isFile(flag) ? ' -r -F' : ' -x';
      const takes = flag.value === null ? '' : value;
      lines.push(`complete -c virtslad -n ${inVerb} -l ${flag.name}${short}${takes} -d ${quote(flag.summary)}`);
    }
    const argument = {
      DOMAIN: ` -a ${quote(`(${GUESTS})`)}`,
      SHELL: ` -a ${quote(SHELLS)}`,
      COMMAND: ` -a ${quote(grammar.verbs.map(({ name }) => name).join(' '))}`,
      PATH: ' -F',
    }[verb.argument ?? ''];
    if (argument !== undefined) lines.push(`complete -c virtslad -n ${inVerb}${argument}`);
  }
  return `${lines.join('\n')}\n`;
}

/** A word in single quotes, for bash, zsh and fish alike: our words hold no backslash before a quote. */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
