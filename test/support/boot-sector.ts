/**
 * Guests without an operating system: the 512 bytes that a PC's BIOS loads to 0x7c00 and jumps to. Each program does
 * one thing for ever: keep every vCPU busy, halt, read or write a disk, send frames, touch or keep memory. Gives the bytes
 * of a raw disk. Those that call the BIOS do so from one vCPU, which is busy all the time: the BIOS waits by polling.
 */

/** Keeps every vCPU busy, also one that is plugged in later; lets go of devices that are unplugged (machine `pc`). */
export interface BurnProgram {
  readonly kind: 'burn';
}

/** Halts: no CPU at all. */
export interface IdleProgram {
  readonly kind: 'idle';
}

/** One request after the other, each waited for, from the disk's start to `spanBytes` and again. */
export interface DiskProgram {
  readonly kind: 'read' | 'write';
  /** 512 bytes each; a request of virtio is all of them at once, 1–127. IDE makes them requests of one sector. */
  readonly sectorsPerRequest: number;
  /** 0 is the disk that the guest boots from, 1 the next that the BIOS has found. Never write to 0: it holds the program. */
  readonly disk?: number;
  /** Default: 1 MiB. */
  readonly spanBytes?: number;
}

/** Tens of thousands of frames a second from the first interface of model `ne2k_pci`, to everybody. */
export interface SendProgram {
  readonly kind: 'send';
  /** With its header of 14 bytes; 60–1514. Default 1514. */
  readonly frameBytes?: number;
}

/** Writes to every page from 1 MiB to `toBytes`, which must be the guest's memory or less. */
export interface TouchProgram {
  readonly kind: 'touch';
  readonly toBytes: number;
}

/**
 * Fills memory from 1 MiB to `toBytes` with dwords that no other boot would have, once, then counts at
 * {@link TICKS_ADDRESS} some 18 times a second.
 */
export interface KeepProgram {
  readonly kind: 'keep';
  readonly toBytes: number;
}

export type BootProgram = BurnProgram | IdleProgram | DiskProgram | SendProgram | TouchProgram | KeepProgram;

/** A dword that {@link KeepProgram} adds 1 to with each interrupt of the BIOS's clock; 0 until memory is filled. */
export const TICKS_ADDRESS = 0x600;

/** Requests of 512 bytes: for limits in requests. */
export const READ_SMALL: DiskProgram = { kind: 'read', sectorsPerRequest: 1 };
/** Requests of 32 KiB: for limits in bytes. */
export const READ_LARGE: DiskProgram = { kind: 'read', sectorsPerRequest: 64 };

const MEBIBYTE = 1024 * 1024;
const SECTOR_BYTES = 512;

/** cli; hlt; jmp back: no interrupt ever comes, so the vCPU uses no CPU at all. */
const IDLE = [0xfa, 0xf4, 0xeb, 0xfd];

/**
 * Wakes the other vCPUs and spins on all of them. They start in real mode at 0x8000 (INIT, then start-up interrupts with
 * vector 8 for ever, to all but self: Intel SDM volume 3, multiple-processor initialization). One that runs already takes no
 * notice; one that was plugged in waits for nothing else. The local APIC at 0xfee00300 is above 1 MiB, so a moment in
 * protected mode gives DS a 4 GiB limit first.
 *
 * Between the interrupts it lets go of devices that are to be unplugged, as an operating system would (QEMU's
 * specs/acpi_pci_hotplug, addresses of machine `pc`). Not of vCPUs: QEMU 7.2 crashes over that under emulation.
 */
// biome-ignore format: one instruction a line
const BURN = [
  0xfa,                                                       // cli
  0x31, 0xc0,                                                 // xor  ax, ax
  0x8e, 0xd8,                                                 // mov  ds, ax
  0x66, 0xc7, 0x06, 0x00, 0x80, 0xfa, 0xeb, 0xfe, 0x90,       // mov  dword [0x8000], "cli; jmp $; nop"
  0x0f, 0x01, 0x16, 0x6f, 0x7c,                               // lgdt [gdtr]
  0x0f, 0x20, 0xc0,                                           // mov  eax, cr0
  0x0c, 0x01,                                                 // or   al, 1
  0x0f, 0x22, 0xc0,                                           // mov  cr0, eax
  0xeb, 0x00,                                                 // jmp  next
  0xbb, 0x08, 0x00,                                           // mov  bx, 8
  0x8e, 0xdb,                                                 // mov  ds, bx
  0x24, 0xfe,                                                 // and  al, 0xfe
  0x0f, 0x22, 0xc0,                                           // mov  cr0, eax
  0x66, 0xbe, 0x00, 0x03, 0xe0, 0xfe,                         // mov  esi, 0xfee00300
  0x67, 0x66, 0xc7, 0x06, 0x00, 0x45, 0x0c, 0x00,             // mov  dword [esi], INIT to all but self
  0x66, 0xb9, 0x00, 0x00, 0x20, 0x00,                         // mov  ecx, 0x200000
  0x67, 0xe2, 0xfd,                                           // loop $
  0x67, 0x66, 0xc7, 0x06, 0x08, 0x46, 0x0c, 0x00,             // mov  dword [esi], start-up at 0x8000   <- again
  0x66, 0xb9, 0x00, 0x00, 0x40, 0x00,                         // mov  ecx, 0x400000 (some 10 ms)
  0x67, 0xe2, 0xfd,                                           // loop $
  0xba, 0x04, 0xae,                                           // mov  dx, PCI slots to let go of
  0x66, 0xed,                                                 // in   eax, dx
  0x66, 0x85, 0xc0,                                           // test eax, eax
  0x74, 0xe5,                                                 // jz   again
  0xb2, 0x08,                                                 // mov  dl, eject
  0x66, 0xef,                                                 // out  dx, eax
  0xeb, 0xdf,                                                 // jmp  again
  0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,             // GDT: null,
  0xff, 0xff, 0x00, 0x00, 0x00, 0x92, 0xcf, 0x00,             // flat data
  0x0f, 0x00, 0x5f, 0x7c, 0x00, 0x00,                         // gdtr: 15 bytes at the GDT
];

/** Extended read or write (int 0x13, AH = 0x42 or 0x43) with its packet: BIOS Enhanced Disk Drive Specification 3.0. */
// biome-ignore format: one instruction a line
function diskProgram({ kind, sectorsPerRequest, disk = 0, spanBytes = MEBIBYTE }: DiskProgram): number[] {
  const lastStart = Math.floor(spanBytes / SECTOR_BYTES) - sectorsPerRequest;
  return [
    0xfc,                                                     // cld
    0x31, 0xc0,                                               // xor  ax, ax
    0x8e, 0xd8,                                               // mov  ds, ax
    0x8e, 0xd0,                                               // mov  ss, ax
    0xbc, 0x00, 0x7c,                                         // mov  sp, 0x7c00
    0xb4, kind === 'read' ? 0x42 : 0x43,                      // mov  ah, function          <- next request
    0xb0, 0x00,                                               // mov  al, 0 (a write: do not verify)
    0xb2, 0x80 + disk,                                        // mov  dl, drive
    0xbe, 0x30, 0x7c,                                         // mov  si, packet
    0xcd, 0x13,                                               // int  0x13
    0x66, 0xa1, 0x38, 0x7c,                                   // mov  eax, [first sector]
    0x66, 0x05, ...uint32(sectorsPerRequest),                 // add  eax, sectors
    0x66, 0x3d, ...uint32(lastStart),                         // cmp  eax, last start
    0x76, 0x03,                                               // jbe  store
    0x66, 0x31, 0xc0,                                         // xor  eax, eax
    0x66, 0xa3, 0x38, 0x7c,                                   // mov  [first sector], eax   <- store
    0xeb, 0xda,                                               // jmp  next request
    0x10, 0x00, sectorsPerRequest, 0x00,                      // packet: 16 bytes, sectors,
    0x00, 0x00, 0x00, 0x10,                                   // to 0x1000:0x0000,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,           // first sector
  ];
}

/**
 * Finds the card (PCI BIOS 2.1: int 0x1a, AX = 0xb102 find device, 0xb10a read configuration dword), puts the header of a
 * frame into its memory and sends that memory for ever. Registers: National Semiconductor DP8390D, as QEMU's ne2000.c has it.
 * It never takes a frame out, so the card drops what is sent to it.
 */
function sendProgram({ frameBytes = 1514 }: SendProgram): number[] {
  // Register, value: stopped; bytes at a time; 14 bytes to 0x4000 by remote DMA; no loopback; receive ring 0x5600–0x7fff;
  // accept only frames to an address that nobody has; send from 0x4000 that many bytes; started, remote write.
  // biome-ignore format: one register a pair
  const registers = [
    0x00, 0x21, 0x0e, 0x48, 0x0a, 14, 0x0b, 0, 0x08, 0x00, 0x09, 0x40, 0x0d, 0x00, 0x01, 0x56, 0x02, 0x80, 0x03, 0x56,
    0x0c, 0x00, 0x0f, 0x00, 0x07, 0xff, 0x04, 0x40, 0x05, frameBytes & 0xff, 0x06, frameBytes >> 8, 0x00, 0x12,
  ];
  // To everybody, from a locally administered address, EtherType for local experiments (IEEE 802).
  const header = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x88, 0xb5];
  // biome-ignore format: one instruction a line
  return [
    0xfc,                                                     // cld
    0x31, 0xc0,                                               // xor  ax, ax
    0x8e, 0xd8,                                               // mov  ds, ax
    0x8e, 0xd0,                                               // mov  ss, ax
    0xbc, 0x00, 0x7c,                                         // mov  sp, 0x7c00
    0xb8, 0x02, 0xb1,                                         // mov  ax, find device
    0xb9, 0x29, 0x80,                                         // mov  cx, 0x8029
    0xba, 0xec, 0x10,                                         // mov  dx, 0x10ec
    0x31, 0xf6,                                               // xor  si, si (the first)
    0xcd, 0x1a,                                               // int  0x1a
    0xb8, 0x0a, 0xb1,                                         // mov  ax, read configuration dword
    0xbf, 0x10, 0x00,                                         // mov  di, base address 0
    0xcd, 0x1a,                                               // int  0x1a
    0x83, 0xe1, 0xfc,                                         // and  cx, 0xfffc
    0x89, 0xcd,                                               // mov  bp, cx
    0xbe, 0x4a, 0x7c,                                         // mov  si, registers
    0xb9, registers.length / 2, 0x00,                         // mov  cx, how many
    0xad,                                                     // lodsw                      <- next register
    0x88, 0xc2,                                               // mov  dl, al
    0xb6, 0x00,                                               // mov  dh, 0
    0x01, 0xea,                                               // add  dx, bp
    0x88, 0xe0,                                               // mov  al, ah
    0xee,                                                     // out  dx, al
    0xe2, 0xf4,                                               // loop next register
    0x8d, 0x56, 0x10,                                         // lea  dx, [bp + data port]
    0xb9, header.length, 0x00,                                // mov  cx, bytes of the header
    0xf3, 0x6e,                                               // rep  outsb
    0x89, 0xea,                                               // mov  dx, bp
    0xb0, 0x26,                                               // mov  al, started and send
    0xee,                                                     // out  dx, al                <- again
    0xb9, 0x00, 0x40,                                         // mov  cx, 0x4000 (or millions of frames a second)
    0xe2, 0xfe,                                               // loop $
    0xeb, 0xf8,                                               // jmp  again
    ...registers,
    ...header,
  ];
}

/** Gives DS a 4 GiB limit as BURN does, then adds 1 to the first dword of every page. */
// biome-ignore format: one instruction a line
function touchProgram({ toBytes }: TouchProgram): number[] {
  return [
    0xfa,                                                     // cli
    0x31, 0xc0,                                               // xor  ax, ax
    0x8e, 0xd8,                                               // mov  ds, ax
    0x0f, 0x01, 0x16, 0x4a, 0x7c,                             // lgdt [gdtr]
    0x0f, 0x20, 0xc0,                                         // mov  eax, cr0
    0x0c, 0x01,                                               // or   al, 1
    0x0f, 0x22, 0xc0,                                         // mov  cr0, eax
    0xeb, 0x00,                                               // jmp  next
    0xbb, 0x08, 0x00,                                         // mov  bx, 8
    0x8e, 0xdb,                                               // mov  ds, bx
    0x24, 0xfe,                                               // and  al, 0xfe
    0x0f, 0x22, 0xc0,                                         // mov  cr0, eax
    0x66, 0xbe, ...uint32(MEBIBYTE),                          // mov  esi, 1 MiB            <- again
    0x67, 0x66, 0xff, 0x06,                                   // inc  dword [esi]           <- page
    0x66, 0x81, 0xc6, 0x00, 0x10, 0x00, 0x00,                 // add  esi, 4096
    0x66, 0x81, 0xfe, ...uint32(toBytes),                     // cmp  esi, end
    0x72, 0xec,                                               // jb   page
    0xeb, 0xe4,                                               // jmp  again
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,           // GDT: null,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x92, 0xcf, 0x00,           // flat data
    0x0f, 0x00, 0x3a, 0x7c, 0x00, 0x00,                       // gdtr: 15 bytes at the GDT
  ];
}

/** As touchProgram begins; the first dword is the time stamp counter's, and each is the one before plus an odd number. */
// biome-ignore format: one instruction a line
function keepProgram({ toBytes }: KeepProgram): number[] {
  return [
    0xfa,                                                     // cli
    0x66, 0x31, 0xc0,                                         // xor  eax, eax
    0x8e, 0xd8,                                               // mov  ds, ax
    0x66, 0xa3, ...uint16(TICKS_ADDRESS),                     // mov  [ticks], eax
    0x0f, 0x01, 0x16, 0x5f, 0x7c,                             // lgdt [gdtr]
    0x0f, 0x20, 0xc0,                                         // mov  eax, cr0
    0x0c, 0x01,                                               // or   al, 1
    0x0f, 0x22, 0xc0,                                         // mov  cr0, eax
    0xeb, 0x00,                                               // jmp  next
    0xbb, 0x08, 0x00,                                         // mov  bx, 8
    0x8e, 0xdb,                                               // mov  ds, bx
    0x24, 0xfe,                                               // and  al, 0xfe
    0x0f, 0x22, 0xc0,                                         // mov  cr0, eax
    0x0f, 0x31,                                               // rdtsc
    0x66, 0xbe, ...uint32(MEBIBYTE),                          // mov  esi, 1 MiB
    0x67, 0x66, 0x89, 0x06,                                   // mov  [esi], eax            <- dword
    0x66, 0x05, ...uint32(0x9e3779b9),                        // add  eax, an odd number
    0x66, 0x83, 0xc6, 0x04,                                   // add  esi, 4
    0x66, 0x81, 0xfe, ...uint32(toBytes),                     // cmp  esi, end
    0x72, 0xe9,                                               // jb   dword
    0x31, 0xdb,                                               // xor  bx, bx
    0x8e, 0xdb,                                               // mov  ds, bx (the BIOS would put back 8)
    0xfb,                                                     // sti                        <- again
    0xf4,                                                     // hlt
    0x66, 0xff, 0x06, ...uint16(TICKS_ADDRESS),               // inc  dword [ticks]
    0xeb, 0xf7,                                               // jmp  again
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,           // GDT: null,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x92, 0xcf, 0x00,           // flat data
    0x0f, 0x00, 0x4f, 0x7c, 0x00, 0x00,                       // gdtr: 15 bytes at the GDT
  ];
}

/** A raw disk that boots `program`. Every byte is written, so that reads of it reach the device below. */
export function bootDisk(program: BootProgram, diskBytes = MEBIBYTE): Buffer {
  const disk = Buffer.alloc(diskBytes);
  disk.set(codeOf(program));
  disk.writeUInt16LE(0xaa55, 510);
  return disk;
}

function codeOf(program: BootProgram): readonly number[] {
  switch (program.kind) {
    case 'burn':
      return BURN;
    case 'idle':
      return IDLE;
    case 'read':
    case 'write':
      return diskProgram(program);
    case 'send':
      return sendProgram(program);
    case 'touch':
      return touchProgram(program);
    case 'keep':
      return keepProgram(program);
  }
}

function uint16(value: number): number[] {
  return [value & 0xff, value >> 8];
}

function uint32(value: number): number[] {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return [...bytes];
}
