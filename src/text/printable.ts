/**
 * Text that a guest's owner chose (names, titles), made safe for logs, labels, pages and terminals: one line, no
 * control character, no reordering of what follows, bounded length. Takes any string, gives a string; pure.
 */

/** Longest guest name shown anywhere, in characters. */
export const NAME_LENGTH_MAX = 128;

// Control characters (C0, DEL, C1) act on terminals and end lines; U+2028/2029 end lines in some readers; the bidi
// embeddings, overrides and isolates reorder the text around them; a lone surrogate is no character at all.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]|\p{Surrogate}/gu;

/** `text` in NFC, at most `lengthMax` characters (an ellipsis marks a cut), unsafe characters as `\u001b`. */
export function printable(text: string, lengthMax: number = NAME_LENGTH_MAX): string {
  // A character is at most two code units: cut before the costly steps, so that a huge name costs nothing.
  const short = text.length > lengthMax * 2 ? text.slice(0, lengthMax * 2 + 1) : text;
  const safe = short.normalize('NFC').replace(UNSAFE, escapeCodeUnit);
  if (safe.length <= lengthMax) return safe;
  const characters = [...safe];
  return characters.length <= lengthMax ? safe : `${characters.slice(0, lengthMax - 1).join('')}…`;
}

function escapeCodeUnit(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
