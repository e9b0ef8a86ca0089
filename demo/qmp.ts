/**
 * One question to QEMU's own monitor (QMP, docs/interop/qmp-spec): how many reads the guest's first disk has had. It is
 * how the demo counts where there is no libvirt to ask; virtslad itself leaves the monitor to whoever started the guest.
 */
import { createConnection } from 'node:net';
import { createInterface } from 'node:readline';

const ANSWER_MS = 10_000;

interface Message {
  readonly id?: string;
  readonly return?: unknown;
  readonly error?: { readonly desc: string };
}

interface BlockStats {
  readonly stats: { readonly rd_operations: number };
}

export async function readsOfFirstDisk(socketPath: string): Promise<number> {
  const [first] = (await execute(socketPath, 'query-blockstats')) as readonly BlockStats[];
  if (first === undefined) throw new Error('QEMU knows of no disk');
  return first.stats.rd_operations;
}

/** Connects, leaves negotiation mode, asks and hangs up; events in between are skipped. */
async function execute(socketPath: string, command: string): Promise<unknown> {
  const socket = createConnection(socketPath);
  socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error(`no answer within ${ANSWER_MS / 1000} s`)));
  const failed = new Promise<never>((_, reject) => socket.once('error', reject));
  const answer = async (): Promise<unknown> => {
    socket.write(`{"execute":"qmp_capabilities"}\n{"execute":"${command}","id":"asked"}\n`);
    for await (const line of createInterface(socket)) {
      const { id, error, return: answered } = JSON.parse(line) as Message;
      if (error !== undefined) throw new Error(error.desc);
      if (id === 'asked') return answered;
    }
    throw new Error('QEMU hung up');
  };
  try {
    return await Promise.race([answer(), failed]);
  } catch (error) {
    throw new Error(`QEMU’s monitor at ${socketPath}: ${(error as Error).message}`);
  } finally {
    socket.destroy();
  }
}
