/** Terminal output of the demo: lines that stay, and a block that is drawn over itself while it lives. */

const ESCAPE = '\u001b[';

export class Screen {
  readonly #out: NodeJS.WriteStream;
  /** Lines of the live block that stand above the cursor. */
  #drawn = 0;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
    // The terminal may go away before the clean-up is done; that must not end it.
    out.on('error', () => {});
  }

  get live(): boolean {
    return this.#out.isTTY === true;
  }

  /** Columns; without a terminal those of the environment, or null: as many as it takes. */
  get width(): number | null {
    return this.live ? (this.#out.columns ?? 80) : Number(process.env.COLUMNS) || null;
  }

  say(line: string): void {
    this.#drawn = 0;
    this.#out.write(`${line}\n`);
  }

  /** Draws the block over the one before it; without a terminal only when `always`. */
  draw(lines: readonly string[], { always = false } = {}): void {
    if (!this.live && !always) return;
    const up = this.#drawn > 0 ? `${ESCAPE}${this.#drawn}A` : '';
    this.#out.write(`${up}${lines.map((line) => `${line}${this.live ? `${ESCAPE}K` : ''}\n`).join('')}`);
    this.#drawn = this.live ? lines.length : 0;
  }

  /** What is drawn stays; the next block starts below it. */
  keep(): void {
    this.#drawn = 0;
  }
}
