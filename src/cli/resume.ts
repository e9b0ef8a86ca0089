/** `virtslad resume [DOMAIN|--all]`: ends hold and release. */
import { printable } from '../text/printable.js';
import { libvirtIsAway, withWriter } from './access.js';
import { print } from './print.js';
import { renderApply } from './render/apply.js';
import { ALL, exitOf, targetOf } from './target.js';
import { EXIT_DONE, EXIT_ERROR, type Verb } from './verb.js';

export const resume: Verb = {
  name: 'resume',
  summary: 'Manage a held or released guest again',
  about: ['Ends `virtslad hold` and `virtslad release` and brings the guest to what its class asks at once.'],
  argument: { name: 'DOMAIN', summary: 'Name or uuid of a guest', least: 0, most: 1 },
  flags: [ALL],
  configured: true,
  reads: true,
  finishes: true,
  examples: [
    ['virtslad resume db-1', 'one guest'],
    ['virtslad resume --all', 'every guest, and the release of all'],
  ],
  exits: [
    [EXIT_DONE, 'done'],
    [EXIT_ERROR, 'error; the guest is managed again, and what could not be written is listed'],
  ],
  async run(context) {
    const target = targetOf(context, 'resume');
    return withWriter(context, async (writer) => {
      const report = await writer.resume(target);
      const away = libvirtIsAway(context, await writer.snapshot());
      print(context, report, () => {
        const after =
          'all' in target
            ? 'No guest is held or released any more.'
            : `${printable(target.domain)} is no longer left alone.`;
        return `${renderApply(report, context.reader)}${after}\n`;
      });
      return away ? EXIT_ERROR : exitOf(report);
    });
  },
};
