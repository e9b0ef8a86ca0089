/** The words of `virtslad launch …` as they are given to `virtslad-launch`, which is that verb alone. Pure. */

/** Index of the verb among the words: flags may stand before it, each with a value of its own or after a `=`. */
export function verbIndex(words: readonly string[], verb: string): number {
  return words.findIndex((word, at) => word === verb && !takesNext(words[at - 1] ?? ''));
}

function takesNext(word: string): boolean {
  return word.startsWith('--') && !word.includes('=');
}
