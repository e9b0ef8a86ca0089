/** The families about the kernel's io cost controller. Series come with the guests that need it and go with them. */
import type { IoCostSnapshot, Snapshot } from '../snapshot/types.js';
import { bit, type Family, type Sample } from './family.js';

export const IO_COST_FAMILIES: readonly Family<Snapshot>[] = [
  family('desired', '1 when weights of guests need it to be on for this whole disk, else 0', ({ desired }) => desired),
  family('actual', '1 when the kernel has it on for this whole disk, else 0', ({ actual }) => actual),
  family('ours', '1 when virtslad has switched it on and will switch it off again, else 0', ({ ours }) => ours),
];

function family(name: string, help: string, value: (disk: IoCostSnapshot) => boolean | null): Family<Snapshot> {
  return {
    name: `virtsla_host_io_cost_${name}`,
    help: `The io cost controller: ${help}`,
    type: 'gauge',
    labels: ['device', 'number'],
    samples: ({ host }) =>
      host.ioCost.flatMap((disk): Sample[] => {
        const found = value(disk);
        return found === null ? [] : [{ labels: [disk.name ?? '', disk.device], value: bit(found) }];
      }),
  };
}
