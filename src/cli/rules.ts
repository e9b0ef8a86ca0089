/** `virtslad rules [PATH…]`: rules for Prometheus from the policy. Needs no daemon. */
import { isAbsolute, resolve } from 'node:path';
import { VirtsladError } from '../errors.js';
import { DEFAULT_OPTIONS, type RulesOptions } from '../rules/rule.js';
import { printable } from '../text/printable.js';
import { print } from './print.js';
import { plural } from './render/words.js';
import { EXIT_DONE, USUAL_EXITS, usage, type Verb, type VerbContext } from './verb.js';

export const rules: Verb = {
  name: 'rules',
  summary: 'Print rules for Prometheus that prove the policy: error budgets and alerts',
  about: [
    'From the policy files given, or the policy directory: for each objective of each class recording rules, under the names of Sloth for whole classes, and alerts when a guest spends its error budget too fast; and the alerts about virtslad itself. Rules of many hosts with the same policy are the same: load them once. Needs no daemon, no libvirt and no root.',
    'After a change of objectives, write them again and reload Prometheus. The guests are not in them, so they stay when guests come and go.',
  ],
  argument: {
    name: 'PATH',
    summary: 'Policy file or directory; default the policy directory',
    least: 0,
    most: Number.POSITIVE_INFINITY,
  },
  flags: [
    {
      name: 'out',
      value: 'FILE',
      summary: 'Write them to this file, whole or not at all; a file that is current is left alone',
    },
    {
      name: 'runbook-url',
      value: 'URL',
      summary: `Where the pages of docs/runbooks/ are for whoever reads an alert: an http(s) address or an absolute path (default ${DEFAULT_OPTIONS.runbookUrl})`,
    },
    {
      name: 'job',
      value: 'NAME',
      summary: `Name of the job by which Prometheus scrapes virtslad (default ${DEFAULT_OPTIONS.job})`,
    },
  ],
  configured: true,
  reads: true,
  examples: [
    ['virtslad rules --out /etc/prometheus/rules/virtslad.yaml', 'for a Prometheus on this host'],
    ['virtslad rules policies/ | promtool check rules', 'of a directory in a repository, checked'],
    ['virtslad rules --runbook-url https://wiki.example.com/virtslad', 'with links to pages of your own'],
  ],
  exits: USUAL_EXITS,
  async run(context) {
    const options = optionsOf(context);
    const { arguments: paths, services } = context;
    const result =
      paths.length === 0
        ? await services.loadPolicyDirectory(context.config().policyDir)
        : await services.loadPolicyPaths(paths.map((path) => resolve(context.workingDirectory, path)));
    if (!result.ok) throw new VirtsladError(result.problems);
    const { document, text } = await services.makeRules(result.generation, options);
    const { out: file } = context.flags;
    if (typeof file !== 'string') {
      print(context, document, () => text);
      return EXIT_DONE;
    }
    const written = await write(context, file, text);
    const counts = { groups: document.groups.length, rules: document.groups.flatMap((group) => group.rules).length };
    print(context, { file, written, ...counts }, () => {
      const what = `${plural(counts.rules, 'rule')} in ${plural(counts.groups, 'group')}`;
      return written
        ? `wrote ${printable(file)}: ${what}; reload Prometheus\n`
        : `${printable(file)} is current: ${what}\n`;
    });
    return EXIT_DONE;
  },
};

function optionsOf({ flags }: VerbContext): RulesOptions {
  const { job = DEFAULT_OPTIONS.job, 'runbook-url': url = DEFAULT_OPTIONS.runbookUrl } = flags;
  const runbookUrl = String(url).replace(/\/+$/, '');
  const address = URL.canParse(runbookUrl) && /^https?:$/.test(new URL(runbookUrl).protocol);
  // Braces would be a template to Prometheus.
  if (/[\s{}]/.test(runbookUrl) || !(address || (isAbsolute(runbookUrl) && runbookUrl !== ''))) {
    const message = `--runbook-url does not accept "${printable(String(url))}"`;
    throw new VirtsladError(
      usage(message, 'write an address such as https://wiki.example.com/virtslad, or an absolute path'),
    );
  }
  if (!/^[\w.:/-]+$/.test(String(job))) {
    const fix = 'write the job_name of the scrape configuration, in letters, digits and . : / _ -';
    throw new VirtsladError(usage(`--job does not accept "${printable(String(job))}"`, fix));
  }
  return { runbookUrl, job: String(job) };
}

async function write(context: VerbContext, file: string, text: string): Promise<boolean> {
  try {
    return await context.services.replaceOutputFile(resolve(context.workingDirectory, file), text);
  } catch (error) {
    const { message } = error as Error;
    const fix = 'name a file in a directory that exists and that you may write to';
    throw new VirtsladError({ code: 'RULES_NOT_WRITTEN', where: file, message: printable(message), fix });
  }
}
