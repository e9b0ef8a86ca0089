/** `virtslad launch`: starts QEMU in place of this process, in its class. */
import '../host/launch/stdio-flags.js';
import { printable } from '../text/printable.js';
import { renderProblems } from './render/problems.js';
import { EXIT_ERROR, EXIT_INTERRUPTED, type Verb } from './verb.js';

export const launch: Verb = {
  name: 'launch',
  summary: 'Start a QEMU without libvirt, in its class from its first instruction',
  about: [
    'Becomes QEMU, after everything is in place: cgroups of its own, the limits of its class in them, and on a host with SELinux a label with categories that nobody else has. The process stays the same one, so signals, the exit code, stdin, stdout and stderr are those of QEMU, and whoever supervises virtslad launch supervises the guest.',
    'QEMU’s words and the environment are passed on unchanged. The guest’s name and uuid are those of its -name and -uuid; without a uuid it gets one while it runs, which QEMU is not told. A running daemon takes the guest over within a cycle.',
    'virtslad-launch is the same program under a name of its own. On a host with SELinux virtslad launch becomes it; units and systemd-run start it by that name, since virtslad itself gets the daemon’s domain there.',
  ],
  argument: {
    name: 'QEMU',
    summary: 'The command that starts the guest, after --: a program (absolute, or in PATH) and its options',
    least: 1,
    most: Number.POSITIVE_INFINITY,
  },
  flags: [
    { name: 'class', value: 'CLASS', summary: 'Class of the guest; default the one that the assignments give it' },
  ],
  configured: true,
  reads: false,
  finishes: true,
  examples: [
    ['virtslad launch --class gold -- qemu-system-x86_64 -name db-1 -m 4G -drive file=db-1.img', 'in class gold'],
    ['virtslad launch -- qemu-system-x86_64 -name web-1 -m 1G', 'in the class that the assignments give web-1'],
    ['systemd-run --unit db-1 virtslad-launch --class gold -- qemu-system-x86_64 …', 'as a service'],
  ],
  exits: [
    [EXIT_ERROR, 'not started: a bad policy or class, a label or groups that cannot be had; nothing is left behind'],
    [126, 'not started: the program cannot be run'],
    [127, 'not started: there is no such program'],
    [130, 'not started: it was asked to end before'],
  ],
  async run({ arguments: words, config, err, flags, services, signal, workingDirectory }) {
    const { becomeLauncher, wantsLauncher } = await import('../host/launch/launcher.js');
    if (wantsLauncher()) {
      await becomeLauncher(words, signal);
      return EXIT_INTERRUPTED;
    }
    const { policyDir } = config();
    const policies = await services.loadPolicyDirectory(policyDir);
    const { exitCode, problem } = await services.launchGuest({
      config: config(),
      policies,
      className: typeof flags.class === 'string' ? flags.class : null,
      words,
      workingDirectory,
      signal,
      note: (text) => void err.write(`virtslad: ${printable(text, 1024)}\n`),
    });
    if (problem !== null) err.write(renderProblems([problem], 'error', err.color));
    return exitCode;
  },
};
