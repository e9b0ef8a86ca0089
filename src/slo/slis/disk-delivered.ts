/**
 * disk.delivered: of the throughput that the class lets a disk have (its `disk.limit`), the share that it got while it
 * always had requests under way. A guest that at times had none asked for no more than it got; one that reaches any of
 * its promised limits, in bytes or in operations, got what it was promised. A lower limit that somebody else set is no
 * excuse. Of several disks the worst counts.
 *
 * A guest that has one request at a time under way is judged too: whether it could have had more of them, nobody tells.
 */
import { deliveredShare } from '../disk-promise.js';
import type { Sli, Slice } from '../types.js';
import { leastOf, reaches, worstOf } from '../verdict.js';

export const diskDelivered = {
  name: 'disk.delivered',
  bound: 'at-least',
  unit: 'share',
  help:
    "Share of the class's `disk.limit` that a disk got while it had requests under way all the time; of several limits the " +
    'one it came nearest to. Bad when a disk is below `at-least`.',
  judge({ disks }, objective) {
    if (disks === null) return 'unknown';
    return worstOf(
      disks.map((disk) => {
        const share = deliveredShare(disk);
        return share === null ? 'good' : reaches(share, objective);
      }),
    );
  },
  figure: ({ disks }: Slice) => leastOf((disks ?? []).map(deliveredShare)),
} as const satisfies Sli;
