/**
 * The files of the store are frames in a row: a header of 24 bytes (magic, kind, length, bucket, checksum of the payload,
 * checksum of the header; little-endian) and a payload. A frame stands for itself: after a damaged stretch the next whole
 * frame is searched for, and nothing but the stretch is lost.
 */
import { crc32 } from 'node:zlib';

/** "VSB1" */
const MAGIC = Buffer.from([0x56, 0x53, 0x42, 0x31]);
const HEADER_BYTES = 24;
const MOST_PAYLOAD_BYTES = 4 * 1024 * 1024;

export const FRAME_KINDS = { names: 1, judged: 2, excluded: 3, runs: 4 } as const;
export type FrameKind = keyof typeof FRAME_KINDS;

export interface Frame {
  /** Null: whole, but of a kind that this version does not know. */
  readonly kind: FrameKind | null;
  readonly bucket: number;
  readonly payload: Buffer;
}

export interface ScannedFile {
  readonly frames: readonly Frame[];
  /** Bytes between whole frames. */
  readonly damagedBytes: number;
  /** Where the last whole frame ends. What follows is a frame that was cut off, or damage. */
  readonly wholeBytes: number;
}

export function writeFrame(kind: FrameKind, bucket: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt32LE(FRAME_KINDS[kind], 4);
  header.writeUInt32LE(payload.length, 8);
  header.writeUInt32LE(bucket, 12);
  header.writeUInt32LE(crc32(payload), 16);
  header.writeUInt32LE(crc32(header.subarray(0, 20)), 20);
  return Buffer.concat([header, payload]);
}

export function scanFrames(file: Buffer): ScannedFile {
  const frames: Frame[] = [];
  let [damagedBytes, wholeBytes] = [0, 0];
  for (let at = file.indexOf(MAGIC); at >= 0; ) {
    const frame = frameAt(file, at);
    if (frame === null) {
      at = file.indexOf(MAGIC, at + 1);
      continue;
    }
    frames.push(frame);
    damagedBytes += at - wholeBytes;
    wholeBytes = at + HEADER_BYTES + frame.payload.length;
    at = file.indexOf(MAGIC, wholeBytes);
  }
  return { frames, damagedBytes, wholeBytes };
}

function frameAt(file: Buffer, at: number): Frame | null {
  if (at + HEADER_BYTES > file.length) return null;
  if (file.readUInt32LE(at + 20) !== crc32(file.subarray(at, at + 20))) return null;
  const length = file.readUInt32LE(at + 8);
  const start = at + HEADER_BYTES;
  if (length > MOST_PAYLOAD_BYTES || start + length > file.length) return null;
  const payload = file.subarray(start, start + length);
  if (file.readUInt32LE(at + 16) !== crc32(payload)) return null;
  const number = file.readUInt32LE(at + 4);
  const kind = (Object.keys(FRAME_KINDS) as FrameKind[]).find((name) => FRAME_KINDS[name] === number) ?? null;
  return { kind, bucket: file.readUInt32LE(at + 12), payload };
}
