/**
 * A lab whose libvirtd makes taps and limits them: with /dev/net/tun, and with a `tc` in front of the host's that takes
 * what the kernel may lack (sfq, the fw classifier, police) for done. What reaches libvirt, and what it makes of it, is
 * real; what the kernel would do is not asked here.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { output } from '../support/command.js';
import type { Lab } from '../support/lab.js';

const TC = `#!/bin/sh
if [ -e "$0.fails" ]; then
  case " $* " in
    *" sfq "*) echo "Error: Specified qdisc kind is unknown." >&2; exit 2 ;;
  esac
fi
case " $* " in
  *" sfq "* | *" fw "* | *" police "*) exit 0 ;;
esac
exec /sbin/tc "$@"
`;

export interface TapLab {
  readonly lab: Lab;
  /** From now on tc fails as on a kernel without sfq, or not. */
  tcFails(fails: boolean): void;
}

/** `open` is `Lab.open`: called where a test file names the lab, which makes it one of the host lane. */
export async function openTapLab(open: () => Promise<Lab>): Promise<TapLab> {
  const directory = mkdtempSync(join(tmpdir(), 'virtslad-tc-'));
  writeFileSync(join(directory, 'tc'), TC, { mode: 0o755 });
  const path = process.env.PATH;
  process.env.PATH = `${directory}:${path}`;
  try {
    const lab = await open();
    lab.cleanup.defer(`remove ${directory}`, () => rmSync(directory, { recursive: true, force: true }));
    // libvirtd has a /dev of its own.
    const net = `/proc/${readFileSync(join(lab.directory, 'libvirtd.pid'), 'latin1').trim()}/root/dev/net`;
    if (!existsSync(join(net, 'tun'))) {
      mkdirSync(net, { recursive: true });
      await output('mknod', [join(net, 'tun'), 'c', '10', '200']);
    }
    const fails = join(directory, 'tc.fails');
    return { lab, tcFails: (failing) => (failing ? writeFileSync(fails, '') : rmSync(fails, { force: true })) };
  } finally {
    process.env.PATH = path;
  }
}
