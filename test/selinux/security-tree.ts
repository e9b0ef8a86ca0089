/** A host's security file systems as directories: selinuxfs with its status page, /etc/selinux, securityfs and /proc. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { SecurityStatusOptions } from '../../src/host/selinux/status.js';

export interface StatusPage {
  readonly sequence: number;
  readonly enforcing: boolean;
}

export class SecurityTree {
  readonly root = mkdtempSync(join(tmpdir(), 'virtslad-security-'));
  nowMs = 0;

  get options(): SecurityStatusOptions & { readonly selinuxfs: string; readonly procRoot: string } {
    return {
      selinuxfs: join(this.root, 'selinuxfs'),
      etc: join(this.root, 'etc'),
      securityfs: join(this.root, 'security'),
      procRoot: join(this.root, 'proc'),
      now: () => this.nowMs,
    };
  }

  write(path: string, content: string | Uint8Array): this {
    const file = join(this.root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
    return this;
  }

  remove(path: string): this {
    rmSync(join(this.root, path), { recursive: true, force: true });
    return this;
  }

  /** As a 6.1 kernel lists them. */
  kernel({ selinux }: { readonly selinux: boolean }): this {
    const names = ['sysfs', 'tmpfs', 'proc', ...(selinux ? ['selinuxfs'] : []), 'securityfs'];
    return this.write('proc/filesystems', `${names.map((name) => `nodev\t${name}\n`).join('')}\text4\n`);
  }

  /** Words of 32 bits: version, sequence, enforcing, policyload, deny_unknown. */
  page({ sequence, enforcing }: StatusPage): this {
    const words = Uint32Array.of(1, sequence, enforcing ? 1 : 0, 1, 0);
    return this.write('selinuxfs/status', new Uint8Array(words.buffer)).write(
      'selinuxfs/enforce',
      enforcing ? '1' : '0',
    );
  }

  boolean(name: string, value: boolean): this {
    return this.write(`selinuxfs/booleans/${name}`, `${Number(value)} ${Number(value)}`);
  }

  /** SELinux with Debian's policy: booleans as they come, guests of one type. */
  selinux(enforcing = true): this {
    return this.kernel({ selinux: true })
      .page({ sequence: 4, enforcing })
      .write('selinuxfs/mls', '1')
      .boolean('virt_use_nfs', false)
      .boolean('allow_execmem', true)
      .boolean('ssh_sysadm_login', true)
      .write('proc/self/attr/current', 'system_u:system_r:virtslad_t:s0\0')
      .write('etc/config', '# a comment\nSELINUX=enforcing\n# SELINUXTYPE= can be…\nSELINUXTYPE=default\n')
      .write('etc/default/contexts/virtual_domain_context', 'system_u:system_r:svirt_t:s0\n')
      .write(
        'etc/default/contexts/virtual_image_context',
        'system_u:object_r:svirt_image_t:s0\nsystem_u:object_r:virt_content_t:s0\n',
      );
  }

  close(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}
