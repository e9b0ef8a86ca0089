/** Runs a command to its end with a deadline; gives exit code and output. */
import { spawn } from 'node:child_process';
import { PATIENCE } from './lab-kind.js';

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly timeoutSeconds?: number;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

/** The exit code is data; only a command that cannot be started or overruns its deadline throws. */
export function execute(
  file: string,
  args: readonly string[],
  { timeoutSeconds = 60, env = process.env, cwd }: CommandOptions = {},
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    // A group of its own: Ctrl-C in the terminal must not cut a clean-up command short.
    const child = spawn(file, args, { env, cwd, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    let overran = false;
    const limit = setTimeout(
      () => {
        overran = true;
        child.kill('SIGKILL');
      },
      timeoutSeconds * PATIENCE * 1000,
    );
    child.on('error', (error) => {
      clearTimeout(limit);
      reject(error);
    });
    child.on('close', (code) => {
      clearTimeout(limit);
      if (overran) reject(new Error(`${file} ${args.join(' ')}: still running after ${timeoutSeconds} s\n${stderr}`));
      else resolve({ code: code ?? 1, stdout, stderr });
    });
  });
}

/** Standard output; throws with the error output when the exit code is not 0. */
export async function output(file: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await execute(file, args, options);
  if (code !== 0) throw new Error(`${file} ${args.join(' ')}: exit code ${code}\n${stderr || stdout}`);
  return stdout;
}
