/** `virtslad apply --once`: one cycle of the daemon's work, now. */
import { VirtsladError } from '../errors.js';
import { libvirtIsAway, withWriter } from './access.js';
import { print } from './print.js';
import { renderApply } from './render/apply.js';
import { EXIT_CONFIG, EXIT_DONE, EXIT_ERROR, usage, type Verb } from './verb.js';

export const apply: Verb = {
  name: 'apply',
  summary: 'Bring every guest to what its class asks, once',
  about: [
    'Does what `virtslad plan` shows: journals the originals, writes, reads back. With a daemon running it is the daemon that does it; without one this command does it alone, and nothing keeps the values afterwards.',
    'A new policy generation that would change more guests than the blast radius allows is stopped and waits. --acknowledge lets exactly that generation through.',
  ],
  flags: [
    { name: 'once', summary: 'Required: says that you know it is done once and not kept' },
    { name: 'acknowledge', value: 'GENERATION', summary: 'Let this generation through the blast-radius stop' },
  ],
  configured: true,
  reads: true,
  finishes: true,
  examples: [
    ['virtslad apply --once', 'one round'],
    ['virtslad apply --once --acknowledge 3f9a1c20be47', 'let a stopped generation through'],
  ],
  exits: [
    [EXIT_DONE, 'done; what was refused or unsupported is listed'],
    [EXIT_ERROR, 'a write failed, or all were stopped (kill switch, blast radius, libvirt away)'],
    [EXIT_CONFIG, 'cannot start for its configuration or its policies'],
  ],
  async run(context) {
    if (context.flags.once !== true) {
      const fix = 'write virtslad apply --once, or run the daemon with virtslad run to keep the values';
      throw new VirtsladError(usage('apply works once and does not keep the values', fix));
    }
    const acknowledge = context.flags.acknowledge;
    return withWriter(context, async (writer) => {
      const report = await writer.apply({ acknowledge: typeof acknowledge === 'string' ? acknowledge : null });
      print(context, report, () => renderApply(report, context.reader));
      const snapshot = await writer.snapshot();
      if (libvirtIsAway(context, snapshot)) return EXIT_ERROR;
      if (report.outcomes.some(({ outcome }) => outcome === 'failed')) return EXIT_ERROR;
      // In observe mode writing nothing is what was asked for.
      return report.stopped === null || snapshot.mode === 'observe' ? EXIT_DONE : EXIT_ERROR;
    });
  },
};
