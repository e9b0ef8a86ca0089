/** `virtslad plan`: what apply would write now, and nothing written. */
import { printable } from '../text/printable.js';
import { libvirtIsAway } from './access.js';
import { print } from './print.js';
import { renderPlan } from './render/plan.js';
import { EXIT_DONE, EXIT_ERROR, EXIT_PENDING, type Verb } from './verb.js';

export const plan: Verb = {
  name: 'plan',
  summary: 'Show what would be written, like a diff',
  about: [
    'Reads the policies, the guests and the kernel and shows every value that differs from what is asked: + a first value of ours, ~ a change or repair, - back to the original. Each line says why, and which place in which policy file asked for it.',
    'Writes nothing and needs no daemon; it may run beside one.',
  ],
  flags: [
    { name: 'detailed-exitcode', summary: 'Exit with 2 when changes are pending' },
    { name: 'verbose', short: 'v', summary: 'Show the raw text of each write too' },
  ],
  configured: true,
  reads: true,
  examples: [
    ['virtslad plan', 'what would change now'],
    ['virtslad plan --policy-dir ./policies -v', 'what other policies would change, write by write'],
    ['virtslad plan --detailed-exitcode >/dev/null || echo pending', 'for scripts'],
  ],
  exits: [
    [EXIT_DONE, 'done; with --detailed-exitcode: nothing to do'],
    [EXIT_ERROR, 'error: a bad policy, or libvirt cannot be reached'],
    [EXIT_PENDING, 'with --detailed-exitcode: changes are pending'],
  ],
  async run(context) {
    const session = await context.services.openLocal(context.config(), await context.log(), { write: false });
    try {
      const report = await session.plan();
      const verbose = context.flags.verbose === true;
      print(context, report, () => renderPlan(report, context.reader, { verbose }));
      const { snapshot } = report;
      for (const problem of snapshot.policyProblems) context.err.write(`${printable(problem, 1024)}\n`);
      if (libvirtIsAway(context, snapshot) || snapshot.policyProblems.length > 0) return EXIT_ERROR;
      const pending = report.changes.length > 0 && context.flags['detailed-exitcode'] === true;
      return pending ? EXIT_PENDING : EXIT_DONE;
    } finally {
      await session.close();
    }
  },
};
