/**
 * network.delivered: of the packets to and from the guest, the share that was not dropped at its interfaces on this host.
 * No packets: good. Of several interfaces the worst counts. A guest that stands still takes no packets in: those that its
 * queue has no room for are nobody's fault. What its own `network.limit` drops is counted elsewhere by the kernel (in the
 * queueing discipline) and is not among these.
 */
import type { InterfaceSlice, Sli, Slice } from '../types.js';
import { leastOf, reaches, worstOf } from '../verdict.js';

export const networkDelivered = {
  name: 'network.delivered',
  bound: 'at-least',
  unit: 'share',
  help: 'Share of packets to and from the guest that its interfaces did not drop. Bad when one is below `at-least`.',
  judge({ interfaces, state }, objective) {
    if (interfaces === null) return 'unknown';
    if (state !== 'running') return 'good';
    return worstOf(
      interfaces.map((one) => {
        const share = shareOf(one);
        return share === null ? 'good' : reaches(share, objective);
      }),
    );
  },
  figure: ({ interfaces }: Slice) => leastOf((interfaces ?? []).map(shareOf)),
} as const satisfies Sli;

function shareOf({ packets, dropped }: InterfaceSlice): number | null {
  const all = packets + dropped;
  return all === 0 ? null : packets / all;
}
