// Reads what `events-reporter.mjs` wrote, in pieces as they come; gives each test when all that belongs to it is known.

export class TestEvents {
  #rest = '';
  #test = null;
  #onTest;
  /** The reporter has said that the run ended. */
  ended = false;
  failed = false;

  /** @param {(test: object) => void} onTest a test with its notes */
  constructor(onTest) {
    this.#onTest = onTest;
  }

  push(text) {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop();
    for (const line of lines) this.#take(line);
  }

  /** Nothing more comes. */
  end() {
    // The last line of a process that was killed is no event.
    this.#give();
  }

  #take(line) {
    let event;
    try {
      event = JSON.parse(line);
    } catch {
      return;
    }
    // Notes (`t.diagnostic`) follow the test that made them.
    if (event.event === 'note') this.#test?.notes.push(event.text);
    else {
      this.#give();
      if (event.event === 'end') this.ended = true;
      else this.#test = { ...event, notes: [] };
    }
  }

  #give() {
    const test = this.#test;
    this.#test = null;
    if (test === null || test.event === 'unselected') return;
    if (test.event === 'fail') this.failed = true;
    this.#onTest(test);
  }
}
