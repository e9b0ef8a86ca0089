/** The two ways a verb answers on stdout: text for people, or one JSON document. */
import type { VerbContext } from './verb.js';

export function print(context: VerbContext, value: unknown, text: () => string): void {
  context.out.write(context.json ? `${JSON.stringify(value, null, 2)}\n` : text());
}
