/** A /sys in a temporary directory with the block devices of a made-up host, linked as the kernel links them. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';

type Attributes = Readonly<Record<string, string>>;

export class SysfsTree {
  readonly root = mkdtempSync(join(tmpdir(), 'virtslad-sysfs-'));
  readonly #directories = new Map<string, string>();

  constructor() {
    mkdirSync(join(this.root, 'dev', 'block'), { recursive: true });
  }

  /** `bus`: below /sys/devices. */
  disk(name: string, device: string, attributes: Attributes = {}, bus = 'virtual/block'): void {
    this.#add(join(this.root, 'devices', bus, name), device, attributes);
    mkdirSync(join(this.directory(name), 'slaves'));
  }

  partition(disk: string, name: string, device: string): void {
    this.#add(join(this.directory(disk), name), device, { partition: '1' });
  }

  /** A dm, md or bcache device on others, which must be there already, or be the device itself. */
  stack(name: string, device: string, below: readonly string[], attributes: Attributes = {}): void {
    this.disk(name, device, attributes);
    for (const lower of below) this.link(join(this.directory(name), 'slaves', lower), this.directory(lower));
  }

  directory(name: string): string {
    return this.#directories.get(name) ?? join(this.root, 'devices', name);
  }

  link(at: string, target: string): void {
    mkdirSync(dirname(at), { recursive: true });
    symlinkSync(relative(dirname(at), target), at);
  }

  write(path: string, text: string): void {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }

  remove(): void {
    rmSync(this.root, { recursive: true });
  }

  #add(directory: string, device: string, attributes: Attributes): void {
    for (const [name, value] of Object.entries({ dev: device, ...attributes })) {
      this.write(join(directory, name), `${value}\n`);
    }
    this.#directories.set(directory.slice(directory.lastIndexOf('/') + 1), directory);
    this.link(join(this.root, 'dev', 'block', device), directory);
  }
}
