import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Tuning } from '../../src/domains/types.js';
import { parseDomainXml } from '../../src/host/libvirt/domain-xml.js';
import { defaultTuning } from '../fakes/fake-tuning.js';

function tuning(content: string): Tuning {
  return parseDomainXml(`<domain type='kvm' id='7'><name>db-1</name>${content}</domain>`).tuning;
}

describe('tuning in domain XML', () => {
  it('is none where nothing is tuned', () => {
    assert.deepEqual(tuning(''), defaultTuning());
    assert.deepEqual(tuning('<cputune/><memtune/><blkiotune/><devices/>'), defaultTuning());
  });

  it('has CPU shares and quotas, negative ones included', () => {
    const { cpu } = tuning(
      '<cputune><shares>512</shares><period>50000</period><quota>-1</quota>' +
        '<global_period>100000</global_period><global_quota>150000</global_quota>' +
        "<vcpupin vcpu='0' cpuset='1'/><emulator_quota>1000</emulator_quota></cputune>",
    );
    assert.deepEqual(cpu, {
      shares: 512,
      vcpuPeriodUsec: 50000,
      vcpuQuotaUsec: -1,
      globalPeriodUsec: 100000,
      globalQuotaUsec: 150000,
      realtimeVcpus: false,
    });
  });

  for (const [scheduler, realtime] of [
    ['fifo', true],
    ['rr', true],
    ['batch', false],
    ['idle', false],
  ] as const) {
    it(`takes ${scheduler} vCPUs for ${realtime ? 'realtime' : 'ordinary'}`, () => {
      const { cpu } = tuning(`<cputune><vcpusched vcpus='0-1' scheduler='${scheduler}' priority='1'/></cputune>`);
      assert.equal(cpu.realtimeVcpus, realtime);
    });
  }

  it('has the pin of each vCPU, as written', () => {
    const { pins } = tuning(
      "<cputune><vcpupin vcpu='1' cpuset='4-7,^5'/><vcpupin vcpu='0' cpuset='0'/><emulatorpin cpuset='1'/>" +
        "<vcpupin vcpu='1' cpuset='9'/><vcpupin vcpu='__proto__' cpuset='3'/><vcpupin vcpu='-1' cpuset='3'/>" +
        "<vcpupin cpuset='3'/><vcpupin vcpu='2'/></cputune>",
    );
    assert.deepEqual(pins, { 0: '0', 1: '4-7,^5' });
  });

  it('has memory limits in KiB, whatever their unit', () => {
    const { memory } = tuning(
      "<memtune><hard_limit unit='G'>1</hard_limit><soft_limit unit='bytes'>1025</soft_limit>" +
        '<swap_hard_limit>2097152</swap_hard_limit></memtune>',
    );
    assert.deepEqual(memory, { hardLimitKib: 1048576, softLimitKib: 2, swapHardLimitKib: 2097152 });
  });

  it('takes an unlimited or unreadable memory limit for none', () => {
    const { memory } = tuning(
      "<memtune><hard_limit unit='KiB'>9007199254740991</hard_limit><soft_limit unit='furlong'>1</soft_limit>" +
        '<swap_hard_limit>-1</swap_hard_limit></memtune>',
    );
    assert.deepEqual(memory, {});
    assert.deepEqual(tuning('<memtune><hard_limit>99999999999999999999</hard_limit></memtune>').memory, {});
  });

  it('has block weights and limits by host device', () => {
    const { blkio } = tuning(
      '<blkiotune><weight>800</weight>' +
        '<device><path>/dev/sda</path><weight>1000</weight></device>' +
        '<device><path>/dev/sdb</path><read_bytes_sec>10000</read_bytes_sec><write_bytes_sec>20000</write_bytes_sec>' +
        '<read_iops_sec>100</read_iops_sec><write_iops_sec>200</write_iops_sec></device></blkiotune>',
    );
    assert.deepEqual(blkio, {
      weight: 800,
      devices: [
        { path: '/dev/sda', weight: 1000 },
        {
          path: '/dev/sdb',
          readBytesPerSecond: 10000,
          writeBytesPerSecond: 20000,
          readOperationsPerSecond: 100,
          writeOperationsPerSecond: 200,
        },
      ],
    });
  });
});
