/** `virtslad explain DOMAIN`: why each value of a guest is what it is. */
import { findDomain } from '../snapshot/find-domain.js';
import { libvirtIsAway, view } from './access.js';
import { print } from './print.js';
import { renderExplain } from './render/explain.js';
import { EXIT_DONE, USUAL_EXITS, type Verb } from './verb.js';

export const explain: Verb = {
  name: 'explain',
  summary: 'Say why each value of a guest is what it is, and who asked for it',
  about: [
    'For each control: the desired and the actual value, the files they live in, who owns them, what was there before and how that is known, and the file, line and column of the policy that asked.',
    'Asks the daemon; without one it looks itself.',
  ],
  argument: { name: 'DOMAIN', summary: 'Name or uuid of a guest', least: 1, most: 1 },
  flags: [],
  configured: true,
  reads: true,
  examples: [['virtslad explain db-1', 'why db-1 has the limits it has']],
  exits: USUAL_EXITS,
  async run(context) {
    const { snapshot, source } = await view(context);
    libvirtIsAway(context, snapshot);
    const domain = findDomain(snapshot.domains, context.arguments[0] ?? '');
    print(context, domain, () => renderExplain(domain, snapshot, context.reader, source));
    return EXIT_DONE;
  },
};
