// The one WebSocket of the page, without what is said on it: reconnect with growing pauses, the server's clock, a watchdog.

import { steadily } from "./timer.js";
import { token } from "./token.js";

const WATCH_MS = 100;
/** Least time between two looks of a hidden tab's title at what messages have changed. */
export const TICKED_MS = 100;
const PING_MS = 5000;
/** Without a frame for so long the server is asked whether it is there. */
const ASK_MS = 1000;
/** So long after that without an answer nothing that is shown is believed, and then the socket is given up. */
const DOUBT_MS = 1000;
const DEAD_MS = 4000;
const CONNECT_MS = 10000;
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 15000;
const RETRY_TOLD_MAX_MS = 60000;
const CLOCKS_KEPT = 8;

/** How long to wait before try number `tries` (0 is the first): full jitter, or what a restarting server asked for. */
export function retryDelay(tries, chance, reason = "") {
  return Math.max(toldDelay(reason), chance * Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** tries));
}

function toldDelay(reason) {
  try {
    return Math.min(RETRY_TOLD_MAX_MS, Number(JSON.parse(reason).retry_ms) || 0);
  } catch {
    return 0;
  }
}

/** The server's clock from pings: the sample with the smallest round trip of the last eight is believed. */
export class Clock {
  constructor() {
    this.samples = [];
  }

  /** `server` epoch ms read between `sent` and `back` (both of performance.now()). */
  note(server, sent, back) {
    this.samples.push({ rtt: back - sent, base: server - (sent + back) / 2 });
    if (this.samples.length > CLOCKS_KEPT) this.samples.shift();
  }

  /** A reading without a round trip, believed until there is a better one. */
  guess(server, now) {
    this.samples.push({ rtt: Infinity, base: server - now });
  }

  /** Epoch ms by the server's clock at `now` of performance.now(); the own clock before the first answer. */
  at(now) {
    const best = this.samples.reduce((a, b) => (b.rtt < a.rtt ? b : a), this.samples[0] ?? { base: performance.timeOrigin });
    return best.base + now;
  }

  /** How far the own clock is behind the server's, ms. */
  get offset() {
    return this.at(performance.now()) - Date.now();
  }
}

/** The socket alone. Who inherits takes what comes (`received(text)`, which begins with `hears()`) and is told by `opened`, `closed`, `checked`. */
export class Connection {
  constructor() {
    this.state = { phase: "connecting", rtt: undefined, tries: 0, retryAt: 0, session: undefined, version: undefined, source: undefined, said: "", refusal: "" };
    this.clock = new Clock();
    this.listeners = new Set();
    this.ticking = new Set();
    this.ticked = -Infinity;
    this.pings = new Map();
    this.lastId = 0;
  }

  start() {
    steadily(WATCH_MS, () => this.tick());
    addEventListener("online", () => this.retryNow());
    addEventListener("offline", () => this.wentOffline());
    document.addEventListener("visibilitychange", () => !document.hidden && (this.connected ? this.ping() : this.retryNow()));
    this.connect();
  }

  /** Whether there is a socket to say something on; of one that is `silent` nobody knows whether the server hears it. */
  get connected() {
    return this.state.phase === "open" || this.state.phase === "silent";
  }

  /** Hear of every change of `state`; returns the function that ends it. */
  on(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Call `listener` on every message and ten times a second, in a hidden tab as well. */
  onTick(listener) {
    this.ticking.add(listener);
  }

  serverNow() {
    return this.clock.at(performance.now());
  }

  retryNow() {
    if (this.state.phase !== "waiting" && this.state.phase !== "offline") return;
    clearTimeout(this.retryTimer);
    this.connect();
  }

  send(message) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  connect() {
    const url = new URL("ws", document.baseURI);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url);
    this.socket = socket;
    this.heard = this.askedAt = performance.now();
    socket.onopen = () => this.socket === socket && this.opened();
    socket.onmessage = (event) => this.socket === socket && this.received(event.data);
    socket.onclose = ({ code, reason }) => this.socket === socket && this.closed(code, reason);
    this.change({ phase: "connecting" });
  }

  opened() {
    this.pings.clear();
    this.clock = new Clock();
    if (token.value) this.send({ op: "auth", token: token.value });
    this.ping();
    this.change({ phase: "open", rtt: undefined, retryAt: 0, said: "" });
  }

  closed(code, reason) {
    this.socket = undefined;
    const wait = retryDelay(this.state.tries, Math.random(), reason);
    this.retryTimer = setTimeout(() => this.connect(), wait);
    const said = code === 1008 || code === 1013 ? `the server closed the connection: ${reason || code}` : "";
    const phase = navigator.onLine ? "waiting" : "offline";
    this.change({ phase, tries: this.state.tries + 1, retryAt: performance.now() + wait, rtt: undefined, ...(said && { said }) });
  }

  /** The server wants another token than this page has, and there is no use in asking again: `refusal` are its words, "" where there is no token. */
  lock(refusal) {
    this.leave();
    this.change({ phase: "locked", refusal, rtt: undefined, tries: 0 });
  }

  /** There is another token, or none any more: begin anew with that. */
  unlock() {
    this.leave();
    this.connect();
  }

  leave() {
    clearTimeout(this.retryTimer);
    const { socket } = this;
    this.socket = undefined;
    socket?.close();
  }

  change(news) {
    this.state = { ...this.state, ...news };
    for (const listener of this.listeners) listener(this.state);
  }

  ping() {
    const id = `p${(this.lastId += 1)}`;
    const now = performance.now();
    if (this.heard > this.askedAt || this.pings.size === 0) this.askedAt = now;
    this.pings.clear();
    this.pings.set(id, now);
    this.send({ op: "ping", id });
  }

  tick() {
    this.watch();
    this.told(performance.now());
  }

  told(now) {
    this.ticked = now;
    for (const listener of this.ticking) listener();
  }

  // The browser knows of no network: what comes all the same, from this machine, says otherwise at once.
  wentOffline() {
    if (this.state.phase === "waiting") this.change({ phase: "offline" });
    if (this.state.phase !== "open") return;
    this.ping();
    this.change({ phase: "silent" });
  }

  // Judged by the oldest ping without any answer, not by the last message: a hidden tab's timers run once a minute.
  watch() {
    if (!this.socket) return;
    const now = performance.now();
    const unanswered = this.heard < this.askedAt ? now - this.askedAt : 0;
    if (this.state.phase === "connecting") {
      if (now - this.askedAt >= CONNECT_MS) this.giveUp();
    } else if (unanswered >= DEAD_MS) this.giveUp();
    else if (unanswered >= DOUBT_MS) this.state.phase === "open" && this.change({ phase: "silent" });
    else {
      if (!unanswered && (now - this.heard >= ASK_MS || now - this.askedAt >= PING_MS)) this.ping();
      this.checked(now);
    }
  }

  // At each look where the server answers.
  checked() {}

  // A message has come.
  hears(now) {
    this.heard = now;
    if (this.state.phase === "silent") this.change({ phase: "open" });
  }

  giveUp() {
    const { socket } = this;
    this.closed(4000, "");
    socket.close(4000, "silent");
  }

  greeted({ session, version, source, server_time: server }, now) {
    this.clock.guess(Date.parse(server), now);
    this.change({ session, version, source, tries: 0 });
  }

  ponged({ id, timestamp }, now) {
    const sent = this.pings.get(id);
    this.pings.clear();
    this.clock.note(Date.parse(timestamp), sent, now);
    this.change({ rtt: now - sent });
  }
}
