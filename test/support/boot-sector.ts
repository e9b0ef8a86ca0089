/**
 * Guests without an operating system: the 512 bytes that a PC's BIOS loads to 0x7c00 and jumps to. One keeps every
 * vCPU busy for ever, the other halts. Gives the bytes of a 1 MiB raw disk.
 */

const DISK_BYTES = 1024 * 1024;

/** cli; hlt; jmp back: no interrupt ever comes, so the vCPU uses no CPU at all. */
const IDLE = [0xfa, 0xf4, 0xeb, 0xfd];

/**
 * Wakes the other vCPUs and spins on all of them. They start in real mode at 0x8000 (INIT, then two start-up
 * interrupts with vector 8, to all but self: Intel SDM volume 3, multiple-processor initialization). The local APIC at
 * 0xfee00300 is above 1 MiB, so a moment in protected mode gives DS a 4 GiB limit first.
 */
// biome-ignore format: one instruction a line
const BURN = [
  0xfa,                                                       // cli
  0x31, 0xc0,                                                 // xor  ax, ax
  0x8e, 0xd8,                                                 // mov  ds, ax
  0x66, 0xc7, 0x06, 0x00, 0x80, 0xfa, 0xeb, 0xfe, 0x90,       // mov  dword [0x8000], "cli; jmp $; nop"
  0x0f, 0x01, 0x16, 0x67, 0x7c,                               // lgdt [gdtr]
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
  0xb2, 0x02,                                                 // mov  dl, 2
  0x67, 0x66, 0xc7, 0x06, 0x08, 0x46, 0x0c, 0x00,             // mov  dword [esi], start-up at 0x8000
  0x66, 0xb9, 0x00, 0x00, 0x04, 0x00,                         // mov  ecx, 0x40000
  0x67, 0xe2, 0xfd,                                           // loop $
  0xfe, 0xca,                                                 // dec  dl
  0x75, 0xeb,                                                 // jnz  start-up again
  0xeb, 0xfe,                                                 // jmp  $
  0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,             // GDT: null,
  0xff, 0xff, 0x00, 0x00, 0x00, 0x92, 0xcf, 0x00,             // flat data
  0x0f, 0x00, 0x57, 0x7c, 0x00, 0x00,                         // gdtr: 15 bytes at 0x7c57
];

export function bootDisk(kind: 'burn' | 'idle'): Buffer {
  const disk = Buffer.alloc(DISK_BYTES);
  disk.set(kind === 'burn' ? BURN : IDLE);
  disk.writeUInt16LE(0xaa55, 510);
  return disk;
}
