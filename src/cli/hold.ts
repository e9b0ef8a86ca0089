/** `virtslad hold DOMAIN [--for 2h]`: leaves a guest as it is, for a time or until told. */
import { VirtsladError } from '../errors.js';
import { printable } from '../text/printable.js';
import { parseDuration } from '../units.js';
import { withWriter } from './access.js';
import { print } from './print.js';
import { handsOffWords } from './render/words.js';
import { EXIT_DONE, USUAL_EXITS, usage, type Verb } from './verb.js';

const LONGEST_SECONDS = 366 * 86_400;

export const hold: Verb = {
  name: 'hold',
  summary: 'Leave a guest as it is now, for a time or until resume',
  about: [
    'Nothing of a held guest is written: its values stay as they are, and whoever changes them by hand is not corrected. It lasts across restarts of the daemon.',
  ],
  argument: { name: 'DOMAIN', summary: 'Name or uuid of a guest', least: 1, most: 1 },
  flags: [{ name: 'for', value: 'DURATION', summary: 'End by itself after this time: 30m, 2h, 1d' }],
  configured: true,
  reads: true,
  finishes: true,
  examples: [
    ['virtslad hold db-1 --for 2h', 'while you look into something'],
    ['virtslad hold db-1', 'until virtslad resume db-1'],
  ],
  exits: USUAL_EXITS,
  async run(context) {
    const forSeconds = secondsOf(context.flags.for);
    const name = context.arguments[0] ?? '';
    return withWriter(context, async (writer) => {
      const domain = await writer.hold({ domain: name }, forSeconds);
      print(context, domain, () => {
        const words = domain.handsOff === null ? 'held' : handsOffWords(domain.handsOff, context.reader.timeZone);
        return `${printable(domain.name)} is ${words}. End it with: virtslad resume ${printable(name)}\n`;
      });
      return EXIT_DONE;
    });
  },
};

function secondsOf(text: string | true | undefined): number | null {
  if (typeof text !== 'string') return null;
  const parsed = parseDuration(text);
  if (!parsed.ok) throw new VirtsladError(usage(`--for "${printable(text)}" ${parsed.reason}`, parsed.fix));
  if (parsed.value >= 1 && parsed.value <= LONGEST_SECONDS) return parsed.value;
  throw new VirtsladError(usage(`--for ${printable(text)} is not from 1s to 366d`, 'write a duration such as 2h'));
}
