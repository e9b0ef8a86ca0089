/**
 * Asks about real block devices from a process of its own, for tests that mount things in a mount namespace. Prints
 * one line of JSON. `images PATH…`, or `dead DIRECTORY` where descriptor 3 is the dead server of the mount there.
 */
import { closeSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BlockDevices } from '../../src/host/block/block-devices.js';
import { BoundedFiles } from '../../src/host/block/bounded-files.js';
import type { ImageDevice } from '../../src/host/block/image-device.js';
import type { WholeDisks } from '../../src/host/block/whole-disk.js';
import { waitUntil } from '../support/wait.js';

export interface ProbedImage {
  readonly image: ImageDevice;
  readonly disks: WholeDisks | null;
  readonly milliseconds: number;
}

export interface ProbedDeadServer {
  /** Asked as it is, and through a link. */
  readonly untouched: readonly ProbedImage[];
  /** Asked with a mount table that calls it local; three times, the last while the first still hangs. */
  readonly misled: readonly ProbedImage[];
  /** A file elsewhere: looked at by others meanwhile, and asked about once the server was given up. */
  readonly othersWork: boolean;
  readonly afterwards: ImageDevice;
}

async function probe(block: BlockDevices, path: string): Promise<ProbedImage> {
  const started = performance.now();
  const image = await block.imageDevice(path);
  const disks = image.ok ? await block.wholeDisks(image.devices) : null;
  return { image, disks, milliseconds: performance.now() - started };
}

async function probeDeadServer(directory: string): Promise<ProbedDeadServer> {
  const block = new BlockDevices();
  const untouched = [
    await probe(block, join(directory, 'mnt', 'a.img')),
    await probe(block, join(directory, 'link', 'a.img')),
  ];
  const procRoot = mkdtempSync(join(tmpdir(), 'virtslad-proc-'));
  try {
    await mkdir(join(procRoot, 'self'));
    const mounts = readFileSync('/proc/self/mountinfo', 'utf8').replace(/ - fuse\.dead /, ' - ext4 ');
    writeFileSync(join(procRoot, 'self', 'mountinfo'), mounts.replaceAll(/ 0:\d+ (\/ \S+\/mnt )/g, ' 8:1 $1'));
    const misled = new BlockDevices({ procRoot, files: new BoundedFiles(200) });
    const answers = [];
    for (let n = 0; n < 3; n++) answers.push(await probe(misled, join(directory, 'mnt', 'a.img')));
    const othersWork = (await stat(directory)).isDirectory();
    closeSync(3);
    const afterwards = await waitUntil(
      'the dead server to be given up',
      async () => {
        const answer = await misled.imageDevice(join(directory, 'local.img'));
        return (answer.ok || !answer.passing) && answer;
      },
      { seconds: 5 },
    );
    return { untouched, misled: answers, othersWork, afterwards };
  } finally {
    rmSync(procRoot, { recursive: true });
  }
}

const [question, ...paths] = process.argv.slice(2);
if (question === 'dead') {
  console.log(JSON.stringify(await probeDeadServer(paths[0] ?? '')));
} else {
  const block = new BlockDevices();
  const answers: ProbedImage[] = [];
  for (const path of paths) answers.push(await probe(block, path));
  console.log(JSON.stringify(answers));
}
