/** `virtslad release [DOMAIN|--all]`: puts the originals back and stays hands-off. */
import { printable } from '../text/printable.js';
import { libvirtIsAway, withWriter } from './access.js';
import { print } from './print.js';
import { renderApply } from './render/apply.js';
import { ALL, exitOf, targetOf } from './target.js';
import { EXIT_DONE, EXIT_ERROR, type Verb } from './verb.js';

export const release: Verb = {
  name: 'release',
  summary: 'Put back what was there before and leave the guest alone',
  about: [
    'Restores the original of every value that is still ours; what someone else has changed since is left as it is. Afterwards the guest is hands-off, across restarts of the daemon and the host, until `virtslad resume`.',
    'Before virtslad is removed from a host: virtslad release --all.',
  ],
  argument: { name: 'DOMAIN', summary: 'Name or uuid of a guest', least: 0, most: 1 },
  flags: [ALL],
  configured: true,
  reads: true,
  finishes: true,
  examples: [
    ['virtslad release db-1', 'one guest'],
    ['virtslad release --all', 'every guest'],
  ],
  exits: [
    [EXIT_DONE, 'done'],
    [
      EXIT_ERROR,
      'error; what could not be restored is listed. Also when libvirt was away: guests that it runs may not be restored',
    ],
  ],
  async run(context) {
    const target = targetOf(context, 'release');
    return withWriter(context, async (writer) => {
      const report = await writer.release(target);
      const away = libvirtIsAway(context, await writer.snapshot());
      print(context, report, () => {
        const who = 'all' in target ? 'Every guest' : printable(target.domain);
        const resume = 'all' in target ? '--all' : printable(target.domain);
        const after = `${who} is released and stays hands-off until: virtslad resume ${resume}\n`;
        return renderApply(report, context.reader) + (exitOf(report) === EXIT_DONE && !away ? after : '');
      });
      return away ? EXIT_ERROR : exitOf(report);
    });
  },
};
