/** `virtslad run`: the daemon, in the foreground, until it is told to stop. */
import { changedKeys } from '../config/changes.js';
import type { Config } from '../config/types.js';
import { VirtsladError } from '../errors.js';
import type { Log } from '../log.js';
import { EXIT_CONFIG, EXIT_DONE, EXIT_ERROR, type Verb, type VerbContext } from './verb.js';

export const run: Verb = {
  name: 'run',
  summary: 'Run the daemon: keep every guest at what its class is promised',
  about: [
    'Runs in the foreground until SIGTERM or SIGINT and logs to stderr. SIGHUP reads the policy files again, which also happens by itself when they change.',
    'Stopping leaves every limit in place; `virtslad release` puts back what was there before. Only one daemon runs on a host.',
    'With --mode observe nothing of any guest is written: the daemon looks, plans, and answers on its web address.',
  ],
  flags: [],
  configured: true,
  reads: false,
  finishes: true,
  examples: [
    ['virtslad run', 'with /etc/virtslad/virtslad.yaml, or the defaults'],
    ['virtslad run --mode observe --policy-dir ./policies', 'try policies without touching a guest'],
  ],
  exits: [
    [EXIT_DONE, 'stopped by a signal'],
    [EXIT_ERROR, 'error; for instance another daemon runs'],
    [EXIT_CONFIG, 'cannot start for its configuration'],
  ],
  async run(context) {
    const config = context.config();
    const log = await context.log();
    // The core reloads the policies on the same signal; this listens first, so that an early one does not end us.
    context.onReload(() => reportChanges(config, context, log));
    return context.services.runDaemon(config, log, context.signal);
  },
};

/** A reload takes the policies; what changed in the configuration file waits for a restart, and that must be said. */
function reportChanges(running: Config, context: VerbContext, log: Log): void {
  try {
    for (const { key, from, to } of changedKeys(running, context.loadConfig())) {
      log.warn('config.restart_needed', { key, from, to }, `${key} has changed; restart virtslad to take it`);
    }
  } catch (error) {
    if (!(error instanceof VirtsladError)) throw error;
    for (const problem of error.problems) log.error('config.rejected', { problem });
  }
}
