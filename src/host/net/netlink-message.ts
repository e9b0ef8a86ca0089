/**
 * Bytes of rtnetlink, in the byte order of this machine: makes a dump request for one interface, takes apart replies
 * and attributes. Whatever the bytes are, nothing is read beyond them and nothing throws.
 * Sources: linux/netlink.h, linux/rtnetlink.h (struct nlmsghdr, tcmsg, rtattr), netlink(7).
 */
import { endianness } from 'node:os';

export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
const NLM_F_REQUEST = 0x1;
/** Something changed while the kernel was going through its list: what came may be neither the old nor the new. */
export const NLM_F_DUMP_INTR = 0x10;
const NLM_F_DUMP = 0x300;

const HEADER_BYTES = 16;
const TCMSG_BYTES = 20;
const ATTRIBUTE_HEADER_BYTES = 4;
/** The two upper bits of an attribute's type are flags: nested, network byte order. */
const ATTRIBUTE_TYPE = 0x3fff;
const LITTLE_ENDIAN = endianness() === 'LE';

export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly payload: DataView;
}

/** Type of attribute → its value; the last of a type counts. */
export type Attributes = ReadonlyMap<number, DataView>;

/** A request to dump what belongs to one interface (and one parent: 0 is the root). */
export function dumpRequest(type: number, sequence: number, ifindex: number, parent = 0): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + TCMSG_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, LITTLE_ENDIAN);
  view.setUint16(4, type, LITTLE_ENDIAN);
  view.setUint16(6, NLM_F_REQUEST | NLM_F_DUMP, LITTLE_ENDIAN);
  view.setUint32(8, sequence, LITTLE_ENDIAN);
  view.setInt32(HEADER_BYTES + 4, ifindex, LITTLE_ENDIAN);
  view.setUint32(HEADER_BYTES + 12, parent, LITTLE_ENDIAN);
  return bytes;
}

/** The messages of one datagram; null when it does not end where a message ends. */
export function parseMessages(datagram: DataView): NetlinkMessage[] | null {
  const messages: NetlinkMessage[] = [];
  for (let at = 0; at < datagram.byteLength; ) {
    const length = uint32(datagram, at);
    if (length === null || length < HEADER_BYTES || at + length > datagram.byteLength) return null;
    messages.push({
      type: datagram.getUint16(at + 4, LITTLE_ENDIAN),
      flags: datagram.getUint16(at + 6, LITTLE_ENDIAN),
      sequence: datagram.getUint32(at + 8, LITTLE_ENDIAN),
      payload: part(datagram, at + HEADER_BYTES, length - HEADER_BYTES),
    });
    at += aligned(length);
  }
  return messages;
}

/** The attributes in `view` from `start` on; those after a broken one are left out. */
export function parseAttributes(view: DataView | undefined, start = 0): Attributes {
  const attributes = new Map<number, DataView>();
  if (view === undefined) return attributes;
  for (let at = start; at + ATTRIBUTE_HEADER_BYTES <= view.byteLength; ) {
    const length = view.getUint16(at, LITTLE_ENDIAN);
    if (length < ATTRIBUTE_HEADER_BYTES || at + length > view.byteLength) break;
    const type = view.getUint16(at + 2, LITTLE_ENDIAN) & ATTRIBUTE_TYPE;
    attributes.set(type, part(view, at + ATTRIBUTE_HEADER_BYTES, length - ATTRIBUTE_HEADER_BYTES));
    at += aligned(length);
  }
  return attributes;
}

/** A `struct tcmsg` and the attributes after it; null when it is too short. */
export function parseTcMessage(payload: DataView): {
  readonly ifindex: number;
  readonly handle: number;
  readonly parent: number;
  readonly attributes: Attributes;
} | null {
  if (payload.byteLength < TCMSG_BYTES) return null;
  return {
    ifindex: payload.getInt32(4, LITTLE_ENDIAN),
    handle: payload.getUint32(8, LITTLE_ENDIAN),
    parent: payload.getUint32(12, LITTLE_ENDIAN),
    attributes: parseAttributes(payload, TCMSG_BYTES),
  };
}

/** Null, as for all of these, when the value is shorter. */
export function uint32(view: DataView | undefined, at = 0): number | null {
  return view !== undefined && at + 4 <= view.byteLength ? view.getUint32(at, LITTLE_ENDIAN) : null;
}

export function int32(view: DataView | undefined, at = 0): number | null {
  return view !== undefined && at + 4 <= view.byteLength ? view.getInt32(at, LITTLE_ENDIAN) : null;
}

export function uint64(view: DataView | undefined): number | null {
  return view !== undefined && view.byteLength >= 8 ? Number(view.getBigUint64(0, LITTLE_ENDIAN)) : null;
}

/** A NUL-terminated ASCII name. */
export function text(view: DataView | undefined): string {
  if (view === undefined) return '';
  const bytes = Buffer.from(view.buffer, view.byteOffset, view.byteLength);
  const end = bytes.indexOf(0);
  return bytes.toString('latin1', 0, end < 0 ? bytes.length : end);
}

function part(view: DataView, at: number, length: number): DataView {
  return new DataView(view.buffer, view.byteOffset + at, length);
}

/** Messages and attributes begin at multiples of four bytes. */
function aligned(length: number): number {
  return (length + 3) & ~3;
}
