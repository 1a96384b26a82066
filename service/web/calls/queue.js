// The queue of uploads: a few at a time; a failed one does not stop the others.

const LANES = 4; // browsers open six connections to a server; two stay free for the page

export class Queue {
  #waiting = [];
  #running = new Map();
  #send;
  #onChange;
  #isOpen = false;

  /**
   * @param send (card, signal) => Promise; throws a Problem. One with status 401 closes the queue
   *   for the caller to open again, and the card goes on waiting.
   * @param onChange told whenever a card went on.
   */
  constructor(send, onChange) {
    this.#send = send;
    this.#onChange = onChange;
  }

  get size() {
    return this.#waiting.length + this.#running.size;
  }

  open() {
    this.#isOpen = true;
    this.#run();
  }

  close() {
    this.#isOpen = false;
  }

  put(cards) {
    for (const card of cards) card.wait();
    this.#waiting.push(...cards);
    this.#onChange();
    this.#run();
  }

  /** Forgets everything that waits and ends what is under way. */
  clear() {
    this.#waiting = [];
    for (const controller of this.#running.values()) controller.abort();
    this.#running.clear();
  }

  #run() {
    while (this.#isOpen && this.#running.size < LANES && this.#waiting.length > 0) {
      this.#start(this.#waiting.shift());
    }
  }

  async #start(card) {
    const controller = new AbortController();
    this.#running.set(card, controller);
    card.look();
    try {
      card.succeed(await this.#send(card, controller.signal));
    } catch (problem) {
      if (controller.signal.aborted) return;
      if (problem.status === 401) {
        card.wait();
        this.#waiting.unshift(card);
      } else {
        card.fail(problem);
      }
    } finally {
      this.#running.delete(card);
    }
    this.#onChange();
    this.#run();
  }
}
