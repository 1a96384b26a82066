// Frames over a WebSocket (docs/websocket.md), connected again for as long as they are wanted.

import { Problem, explain } from "./api.js";
import { pause } from "./pause.js";
import { freshFor } from "./session.js";

const PROTOCOL = "potoo.v1";
const AHEAD = 2; // frames without an answer: one that is worked on, one that is there when it is done
const EXPECTED = new Set([1012, 4410]); // a restart; a token that expired
const REFUSED = 4000; // closes with it plus the HTTP status of the refusal
const EXPIRED = 4410;
const FINAL = new Set([1002, 1003, 1007, 1008, 1009, 4400, 4403, 4404, 4409, 4420, 4422]);
const SHORTEST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;
const UNREACHABLE = "The server cannot be reached. A proxy in between may not let WebSockets through.";

export class FrameStream {
  #call;
  #on;
  #options;
  #link = null; // the connection that is open
  #session = null; // to be resumed
  #number = 0;
  #run = null; // an AbortController while frames are wanted
  #heldUntil = 0; // milliseconds on the clock of `performance`

  /**
   * @param call (use) => Promise; gives an access token to `use`, throws a Problem.
   * @param on `{ state, result, event, problem }`, functions: `state(isOpen)`; `result(message,
   *   takenAt)`; `event(message)`; `problem(problem, isFinal)`, final ones end the stream.
   */
  constructor(call, on) {
    this.#call = call;
    this.#on = on;
  }

  get isOpen() {
    return this.#link !== null;
  }

  /** Whether a frame may be sent now: then it is answered soon. */
  get canSend() {
    const link = this.#link;
    const isFree = link && link.credits > 0 && link.sent.size < AHEAD && link.socket.bufferedAmount === 0;
    return isFree && performance.now() >= this.#heldUntil;
  }

  /** Connects, and again after every loss, until it is closed. */
  open(options) {
    this.close();
    this.#options = options;
    this.#run = new AbortController();
    this.#keep(this.#run.signal);
  }

  /** Uses other options from the next frame on. */
  change(options) {
    Object.assign(this.#options, options);
    this.#link?.say({ type: "options", options });
  }

  /** @param takenAt when the frame was taken, on the clock of `performance`. */
  send(image, takenAt) {
    const link = this.#link;
    if (link?.socket.readyState !== WebSocket.OPEN) return; // the end is about to be told
    const header = new DataView(new ArrayBuffer(8));
    header.setBigUint64(0, BigInt(++this.#number));
    link.credits -= 1;
    link.sent.set(this.#number, takenAt);
    link.socket.send(new Blob([header, image]));
  }

  close() {
    this.#run?.abort();
    this.#run = this.#link = null;
  }

  async #keep(signal) {
    let failures = 0;
    while (!signal.aborted) {
      let end;
      try {
        const link = await this.#call((token) => this.#greet(token, signal));
        if (signal.aborted) return;
        failures = 0;
        end = await this.#use(link, signal);
      } catch (problem) {
        failures += 1;
        end = problem;
      }
      if (signal.aborted) return;
      // Without another token the session is over, and the form is shown.
      const isFinal = FINAL.has(end.close) || (end.status === 401 && failures > 0);
      if (isFinal) this.close();
      if (!EXPECTED.has(end.close)) this.#on.problem(end, isFinal);
      await pause(wait(end, failures), signal);
    }
  }

  /** Connects and says hello. Throws a Problem with status 401 if the token was refused. */
  #greet(token, signal) {
    return new Promise((resolve, reject) => {
      const link = new Link(signal);
      link.socket.onopen = () =>
        link.say({ type: "hello", token, resume: this.#session, options: this.#options });
      link.onMessage = (message) => {
        if (message.type !== "welcome") return;
        this.#session = message.session;
        link.life = message.expires_in;
        resolve(link);
      };
      link.onEnd = reject;
    });
  }

  /** Passes messages on until the connection ends; resolves to the Problem that ended it. */
  #use(link, signal) {
    return new Promise((resolve) => {
      this.#link = link;
      link.onMessage = (message) => this.#take(message, link);
      link.onEnd = (problem) => {
        clearTimeout(link.renewal);
        if (this.#link === link) this.#link = null;
        if (!signal.aborted) this.#on.state(false);
        resolve(problem);
      };
      this.#renewLater(link);
      this.#on.state(true);
    });
  }

  #take(message, link) {
    const takenAt = link.sent.get(message.frame);
    if (message.type !== "event") link.sent.delete(message.frame);
    if (message.type === "result") this.#on.result(message, takenAt);
    if (message.type === "event") this.#on.event(message);
    if (message.type === "error") {
      const problem = problemIn(message);
      this.#heldUntil = performance.now() + problem.retryAfter * 1000;
      this.#on.problem(problem, false);
    }
    if (message.type === "token" && message.expires_in > link.life / 2) {
      link.life = message.expires_in;
      this.#renewLater(link); // else the session has no other token: it ends with this one
    }
  }

  /** A little later than the session finds its token stale, so that it gets another one. */
  #renewLater(link) {
    link.renewal = setTimeout(() => {
      this.#call(async (token) => link.say({ type: "token", token })).catch(() => {}); // it expires, then
    }, freshFor(link.life) * 1000 + 500);
  }
}

/** One WebSocket, its credits, and the frames that have no answer yet. */
class Link {
  credits = 0;
  sent = new Map(); // number of the frame: when it was taken
  onMessage = () => {};
  onEnd = () => {}; // is given the Problem that ended it
  #refusal = null;

  constructor(signal) {
    const address = new URL("v1/stream", document.baseURI);
    address.protocol = address.protocol.replace("http", "ws");
    this.socket = new WebSocket(address, PROTOCOL);
    this.socket.onmessage = ({ data }) => this.#hear(JSON.parse(data));
    const leave = () => {
      // Browsers complain about a close before the connection is made.
      if (this.socket.readyState === WebSocket.CONNECTING) this.socket.onopen = leave;
      else this.socket.close(1000);
    };
    signal.addEventListener("abort", leave);
    this.socket.onclose = ({ code }) => {
      signal.removeEventListener("abort", leave);
      this.onEnd(this.#endedBy(code));
    };
  }

  say(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  #hear(message) {
    this.credits += message.credits ?? 0;
    const isRefusal = message.type === "error" && message.frame === null;
    this.#refusal = isRefusal ? problemIn(message) : null;
    this.onMessage(message);
  }

  #endedBy(code) {
    const status = code === EXPIRED ? 401 : code >= REFUSED + 400 ? code - REFUSED : 0;
    const said = this.#refusal?.message ?? (status ? explain(status, null) : UNREACHABLE);
    const problem = new Problem(status, said, this.#refusal?.code, this.#refusal?.retryAfter);
    return Object.assign(problem, { close: code });
  }
}

function problemIn({ problem, retry_after: retryAfter }) {
  return new Problem(problem.status, explain(problem.status, problem), problem.code, retryAfter ?? 0);
}

/** How long to wait, in milliseconds: longer after each failure. */
function wait({ retryAfter }, failures) {
  const longest = Math.min(LONGEST_PAUSE_MS, SHORTEST_PAUSE_MS * 2 ** failures);
  // Many clients that lost the same server must not come back in the same moment.
  return Math.max(retryAfter * 1000, longest * (0.5 + Math.random() / 2));
}
