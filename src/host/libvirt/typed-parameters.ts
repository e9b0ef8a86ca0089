/**
 * libvirt's typed parameters: takes an array of virTypedParameter in C memory, gives a record of name → value, and the
 * other way round. Layout as on 64-bit little-endian Linux, the only kind that koffi ships a binary for and KVM runs on.
 */
import { type Pointer, readBytes, readString } from '../ffi.js';
import { TYPED, TYPED_PARAMETER } from './bindings.js';

export type TypedValue = number | bigint | boolean | string;
/** A Map, because names come from outside. */
export type TypedValues = ReadonlyMap<string, TypedValue>;

const { size, fieldLength, typeOffset, valueOffset } = TYPED_PARAMETER;

/** Copies `count` parameters out of C memory. Unknown types are left out. */
export function decodeTypedParameters(pointer: Pointer, count: number): TypedValues {
  const values = new Map<string, TypedValue>();
  const bytes = readBytes(pointer, count * size);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.byteLength; at += size) {
    const value = decodeValue(view, at + valueOffset, view.getInt32(at + typeOffset, true));
    if (value !== undefined) values.set(fieldName(bytes.subarray(at, at + fieldLength)), value);
  }
  return values;
}

/** A block of parameters to pass to a set call. */
export function encodeTypedParameters(
  parameters: readonly { readonly name: string; readonly type: 'llong' | 'ullong'; readonly value: bigint }[],
): Uint8Array {
  const bytes = new Uint8Array(parameters.length * size);
  const view = new DataView(bytes.buffer);
  parameters.forEach(({ name, type, value }, index) => {
    const at = index * size;
    const field = Buffer.from(name, 'latin1');
    if (field.length >= fieldLength) throw new RangeError(`parameter name ${name} is too long`);
    bytes.set(field, at);
    view.setInt32(at + typeOffset, TYPED[type], true);
    if (type === 'llong') view.setBigInt64(at + valueOffset, value, true);
    else view.setBigUint64(at + valueOffset, value, true);
  });
  return bytes;
}

function decodeValue(view: DataView, at: number, type: number): TypedValue | undefined {
  switch (type) {
    case TYPED.int:
      return view.getInt32(at, true);
    case TYPED.uint:
      return view.getUint32(at, true);
    case TYPED.llong:
      return view.getBigInt64(at, true);
    case TYPED.ullong:
      return view.getBigUint64(at, true);
    case TYPED.double:
      return view.getFloat64(at, true);
    case TYPED.boolean:
      return view.getUint8(at) !== 0;
    case TYPED.string: {
      const address = view.getBigUint64(at, true);
      return readString(address === 0n ? null : address);
    }
    default:
      return undefined;
  }
}

function fieldName(field: Uint8Array): string {
  const end = field.indexOf(0);
  return Buffer.from(field.subarray(0, end < 0 ? field.length : end)).toString('latin1');
}
