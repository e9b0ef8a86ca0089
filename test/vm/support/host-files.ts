/**
 * Runs files of the host lane one after the other in this process, which takes much less of an emulated CPU than a process
 * for each. Each has the machine for itself: its guests and daemons are gone before the next begins.
 */
import { test } from 'node:test';
import { Lab } from '../../support/lab.js';

/** `names` as in test/host, without `.test`. A file that cannot even begin is one failed test; the others still run. */
export async function runHostFiles(names: readonly string[]): Promise<void> {
  for (const name of names) {
    const failure = await import(`../../host/${name}.test.js`).then(
      () => null,
      (error: unknown) => error,
    );
    // Tests run in order: this is the last of that file.
    await test(`host/${name}: all is gone again`, async () => {
      await Lab.closeAll();
      if (failure !== null) throw failure;
    });
  }
}
