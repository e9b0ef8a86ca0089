/**
 * The io cost controller's switch: `io.cost.qos` of the root group has a line for each whole disk that anybody ever
 * configured, `254:0 enable=1 ctrl=auto rpct=95.00 rlat=…`. The value here is the word `enable=` of one device and no
 * other word is ever written, so whatever an operator set beside it stays. A disk without a line is off. v2 alone.
 * Source: cgroup-v2.rst (io.cost.qos), block/blk-iocost.c (ioc_qos_write).
 */
import type { Codec } from './codec.js';

export const IO_COST_FILE = 'io.cost.qos';

export const ioCostSwitch: Codec = {
  kernelFiles: (version) => (version === 2 ? [IO_COST_FILE] : []),
  read({ group, version, device }) {
    const text = version === 2 && device !== undefined ? group.readOnce(IO_COST_FILE) : null;
    if (text === null) return null;
    for (const line of text.split('\n')) {
      const [number, ...words] = line.split(' ');
      if (number === device) return words.includes('enable=1') ? 'enable=1' : 'enable=0';
    }
    return 'enable=0';
  },
  steps({ version, device }, text) {
    const valid = version === 2 && /^\d+:\d+$/.test(device ?? '') && /^enable=[01]$/.test(text);
    return valid ? [{ file: IO_COST_FILE, text: `${device} ${text}` }] : null;
  },
};
