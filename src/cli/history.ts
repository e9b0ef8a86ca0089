/** `virtslad history [DOMAIN]`: past writes, from the state directory; needs no daemon. */
import { join } from 'node:path';
import { VirtsladError } from '../errors.js';
import type { HistoryEntry } from '../reconcile/types.js';
import { parseDuration } from '../units.js';
import { readHistory } from './history-file.js';
import { print } from './print.js';
import { renderHistory } from './render/history.js';
import { EXIT_DONE, USUAL_EXITS, usage, type Verb } from './verb.js';

const SHOWN = 50;

export const history: Verb = {
  name: 'history',
  summary: 'Show past writes: when, what, from what to what, and why',
  about: [
    'Reads the history in the state directory, oldest first. It is kept to two files of 4 MiB, so old entries go.',
    'WHY is one of policy, start, schedule, drift, hotplug, leave (no longer asked for) and release.',
  ],
  argument: { name: 'DOMAIN', summary: 'Name or uuid of a guest; default all', least: 0, most: 1 },
  flags: [
    { name: 'since', value: 'DURATION', summary: 'Only the last 1h, 2d …' },
    { name: 'number', short: 'n', value: 'COUNT', summary: `The last COUNT entries (default ${SHOWN}, 0 for all)` },
  ],
  configured: true,
  reads: true,
  examples: [
    ['virtslad history db-1', 'what was written for db-1'],
    ['virtslad history --since 1h -n 0 -o json', 'all of the last hour, for a script'],
  ],
  exits: USUAL_EXITS,
  async run(context) {
    const most = countOf(context.flags.number);
    const sinceMs = sinceOf(context.flags.since, context.reader.nowMs);
    const [name] = context.arguments;
    const { entries, damaged } = readHistory(join(context.config().stateDir, 'history.jsonl'));
    const found = entries.filter((entry) => entry.atMs >= sinceMs && (name === undefined || isAbout(entry, name)));
    const shown = most === 0 ? found : found.slice(-most);
    print(context, shown, () => {
      if (shown.length === 0) return 'No writes.\n';
      const more = found.length - shown.length;
      return renderHistory(shown, context.reader) + (more > 0 ? `${more} earlier; show all with -n 0\n` : '');
    });
    if (damaged > 0) context.err.write(`${damaged} damaged lines of the history were left out\n`);
    return EXIT_DONE;
  },
};

function isAbout(entry: HistoryEntry, nameOrUuid: string): boolean {
  return entry.domain === nameOrUuid || entry.uuid === nameOrUuid.toLowerCase();
}

function countOf(text: string | true | undefined): number {
  if (typeof text !== 'string') return SHOWN;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new VirtsladError(usage(`-n ${text} is not a number of entries`, 'write a whole number, 0 for all'));
}

function sinceOf(text: string | true | undefined, nowMs: number): number {
  if (typeof text !== 'string') return Number.NEGATIVE_INFINITY;
  const parsed = parseDuration(text);
  if (parsed.ok) return nowMs - parsed.value * 1000;
  throw new VirtsladError(usage(`--since "${text}" ${parsed.reason}`, parsed.fix));
}
