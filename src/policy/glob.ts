/**
 * Patterns of a match: `*` any text, `?` one character, `[abc]`, `[a-z]`, `[!a-z]` one of a set; everything else is
 * itself. The whole text has to match, case counts. No regular expression: time is bounded by the product of the
 * lengths, whatever the pattern.
 */

type Part =
  | { readonly kind: 'any' }
  | { readonly kind: 'one' }
  | { readonly kind: 'character'; readonly character: string }
  | { readonly kind: 'set'; readonly negated: boolean; readonly ranges: readonly (readonly [string, string])[] };

export type Glob = readonly Part[];

/** The parts of a pattern, or why it is none (`has a "[" without "]"`). */
export function parseGlob(pattern: string): { readonly glob: Glob } | { readonly reason: string } {
  const characters = [...pattern];
  const parts: Part[] = [];
  for (let i = 0; i < characters.length; i++) {
    const character = characters[i] as string;
    if (character === '*') {
      if (parts.at(-1)?.kind !== 'any') parts.push({ kind: 'any' });
    } else if (character === '?') {
      parts.push({ kind: 'one' });
    } else if (character === '[') {
      const set = parseSet(characters, i);
      if ('reason' in set) return set;
      parts.push(set.part);
      i = set.end;
    } else {
      parts.push({ kind: 'character', character });
    }
  }
  return { glob: parts };
}

type SetResult = { readonly part: Part; readonly end: number } | { readonly reason: string };

/** From the `[` at `start` to its `]`. A `]` right after the opening stands for itself, as in glob(7). */
function parseSet(characters: readonly string[], start: number): SetResult {
  const negated = characters[start + 1] === '!' || characters[start + 1] === '^';
  const first = start + (negated ? 2 : 1);
  const ranges: (readonly [string, string])[] = [];
  for (let i = first; i < characters.length; i++) {
    const low = characters[i] as string;
    if (low === ']' && i > first) return { part: { kind: 'set', negated, ranges }, end: i };
    const high = characters[i + 2];
    if (characters[i + 1] === '-' && high !== undefined && high !== ']') {
      if (order(low) > order(high)) return { reason: `has the range ${low}-${high} backwards` };
      ranges.push([low, high]);
      i += 2;
    } else {
      ranges.push([low, low]);
    }
  }
  return { reason: 'has a "[" without "]"' };
}

/** Whether the whole text matches. */
export function matchGlob(glob: Glob, text: string): boolean {
  const characters = [...text];
  let part = 0;
  let at = 0;
  // Only the last `*` is ever tried again: a longer stretch for an earlier one cannot help.
  let star = -1;
  let starAt = 0;
  while (at < characters.length) {
    const wanted = glob[part];
    if (wanted?.kind === 'any') {
      star = part++;
      starAt = at;
    } else if (wanted !== undefined && accepts(wanted, characters[at] as string)) {
      part++;
      at++;
    } else if (star >= 0) {
      part = star + 1;
      at = ++starAt;
    } else {
      return false;
    }
  }
  return glob.slice(part).every((rest) => rest.kind === 'any');
}

function accepts(part: Part, character: string): boolean {
  if (part.kind === 'character') return part.character === character;
  if (part.kind !== 'set') return true;
  const code = order(character);
  return part.ranges.some(([low, high]) => order(low) <= code && code <= order(high)) !== part.negated;
}

function order(character: string): number {
  return character.codePointAt(0) ?? 0;
}
