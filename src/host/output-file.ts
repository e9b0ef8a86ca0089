/**
 * A file for others to read, which a command was told to write: readable by all, and replaced whole, so that who reads it
 * at that moment sees the old text or the new one. Not for state: a crash of the host may lose it.
 */
import { open, readFile, realpath, rename, rm } from 'node:fs/promises';

/** False: the file has that text already and was left alone. Throws what the file system says. */
export async function replaceOutputFile(path: string, text: string): Promise<boolean> {
  // A link stays one.
  const target = await realpath(path).catch(() => path);
  const present = await readFile(target, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (present === text) return false;
  const temporary = `${target}.new`;
  await rm(temporary, { force: true });
  // Made anew: nobody can have put a link there for us to write through.
  const file = await open(temporary, 'wx', 0o644);
  try {
    await file.writeFile(text);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  await rename(temporary, target);
  return true;
}
