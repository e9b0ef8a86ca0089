/** `virtslad status [DOMAIN]`: how the daemon, the host and the guests are now. */
import { findDomain } from '../snapshot/find-domain.js';
import { libvirtIsAway, view } from './access.js';
import { print } from './print.js';
import { renderDomainStatus } from './render/domain.js';
import { renderStatus } from './render/status.js';
import { EXIT_DONE, USUAL_EXITS, type Verb } from './verb.js';

export const status: Verb = {
  name: 'status',
  summary: 'Show the daemon, the host and all guests, worst first; or one guest',
  about: [
    'Asks the daemon; without one it looks itself, and the CPU figures of the last cycle are missing.',
    'CPU figures are in cores. LIMIT is what the kernel holds now (none: no limit; –: no policy asks for one), and COMPLIANT says why when it is not what the policies want.',
  ],
  argument: { name: 'DOMAIN', summary: 'Name or uuid of a guest', least: 0, most: 1 },
  flags: [],
  configured: true,
  reads: true,
  examples: [
    ['virtslad status', 'everything'],
    ['virtslad status db-1', 'one guest, one line a control'],
    ['watch -c FORCE_COLOR=1 virtslad status', 'live'],
  ],
  exits: USUAL_EXITS,
  async run(context) {
    const { snapshot, source } = await view(context);
    const [name] = context.arguments;
    if (name === undefined) {
      print(context, snapshot, () => renderStatus(snapshot, context.reader, source));
    } else {
      libvirtIsAway(context, snapshot);
      const domain = findDomain(snapshot.domains, name);
      print(context, domain, () => renderDomainStatus(domain, snapshot, context.reader, source));
    }
    return EXIT_DONE;
  },
};
