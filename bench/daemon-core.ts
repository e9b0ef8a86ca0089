/** Brings the daemon's core up on a bench host as `daemon.ts` does, up to the moment in which it would say that it is ready. */
import type { Core } from '../src/assemble.js';
import type { LibvirtClient } from '../src/host/libvirt/client.js';

/** Settled: what had to be written stands, and libvirt has been told. The reconciler's own timer does not run. */
export async function begin(core: Core, libvirt: Pick<LibvirtClient, 'start'>): Promise<void> {
  await libvirt.start(new AbortController().signal);
  await loadState(core);
  await core.serviceLevels.start();
  core.reconciler.start();
  await core.parts.generations.reload();
  await core.reconciler.resync();
  await core.reconciler.full();
  await settle(core);
}

export async function loadState({ parts }: Core): Promise<void> {
  await parts.journal.load({ readOnly: false });
  await parts.handsOff.load({ readOnly: false });
  await parts.generations.loadAccepted();
}

/** Full cycles until nothing is under way. */
export async function settle({ parts, reconciler }: Core, rounds = 4): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    await reconciler.full();
    await parts.teller.idle();
    await parts.journal.idle();
    await parts.looked();
    await new Promise((resolve) => setTimeout(resolve, 400));
  }
}

/** What the daemon does every few seconds: asks libvirt for the list, and beside that a full cycle. */
export async function steadyCycle({ reconciler }: Core): Promise<void> {
  await Promise.all([reconciler.resync(), reconciler.full()]);
}
