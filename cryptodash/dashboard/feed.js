// The one WebSocket of the page: shared subscriptions, reconnect, the server's clock, a watchdog. No DOM.

import { Ring } from "./scheduler.js";
import { Topic, identity, keyOf } from "./topics.js";

const LINGER_MS = 5000;
const BATCH = 200;
const TICK_MS = 25;
const PING_MS = 5000;
const DEAD_MS = 10000;
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

/** The rate to ask for when several want the same channel; undefined is without a limit. */
export const wantedRate = (rates) => (rates.includes(undefined) ? undefined : Math.max(...rates));

export class Feed {
  constructor() {
    this.state = { phase: "connecting", rtt: undefined, tries: 0, retryAt: 0, session: undefined, version: undefined, source: undefined, said: "" };
    this.rate = 0;
    this.counts = { received: 0, applied: 0, gaps: 0, missed: 0, resyncs: 0, connects: 0 };
    this.clock = new Clock();
    this.lag = new Ring(2048);
    this.lagLimited = new Ring(512);
    this.topics = new Map();
    this.listeners = new Set();
    this.subscribing = new Set();
    this.unsubscribing = new Map();
    this.lingering = new Map();
    this.requests = new Map();
    this.pings = new Map();
    this.lastId = 0;
    this.rateMark = { at: performance.now(), received: 0 };
  }

  start() {
    setInterval(() => this.watch(), PING_MS);
    setInterval(() => this.measure(), 1000);
    addEventListener("online", () => this.retryNow());
    addEventListener("offline", () => this.change({ phase: this.state.phase === "waiting" ? "offline" : this.state.phase }));
    document.addEventListener("visibilitychange", () => !document.hidden && (this.state.phase === "open" ? this.ping() : this.retryNow()));
    this.connect();
  }

  /** Hear of every change of `state`; returns the function that ends it. */
  on(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  serverNow() {
    return this.clock.at(performance.now());
  }

  /** The topic of a channel, subscribed while somebody holds it. Give it back with `close`. */
  open(channel) {
    const key = keyOf(identity(channel));
    let topic = this.topics.get(key);
    if (!topic) {
      topic = new Topic(channel, () => this.resync(topic));
      topic.rates = [];
      this.topics.set(key, topic);
    }
    clearTimeout(this.lingering.get(key));
    const known = this.lingering.delete(key) || topic.users > 0;
    const before = wantedRate(topic.rates);
    topic.rates = known && topic.users === 0 ? [channel.max_rate] : [...topic.rates, channel.max_rate];
    topic.users += 1;
    if (!known || before !== wantedRate(topic.rates)) this.want(topic);
    return topic;
  }

  /** One holder less (who asked for `maxRate`); the server hears of it 5 s after the last one. */
  close(topic, maxRate) {
    if (!topic || topic.users === 0) return;
    topic.users -= 1;
    if (topic.users === 0) {
      this.lingering.set(topic.key, setTimeout(() => this.drop(topic), LINGER_MS));
      return;
    }
    const before = wantedRate(topic.rates);
    const at = topic.rates.indexOf(maxRate);
    topic.rates.splice(at < 0 ? 0 : at, 1);
    if (before !== wantedRate(topic.rates)) this.want(topic);
  }

  /** Subscribe a refused topic again. */
  retry(topic) {
    if (this.topics.get(topic.key) === topic) this.want(topic);
  }

  /** Ask for a fresh value: a book as a snapshot. */
  resync(topic) {
    this.counts.resyncs += 1;
    if (this.send({ op: "resync", channels: [topic.channel] })) topic.requested();
  }

  retryNow() {
    if (this.state.phase !== "waiting" && this.state.phase !== "offline") return;
    clearTimeout(this.retryTimer);
    this.connect();
  }

  want(topic) {
    topic.error = null;
    this.unsubscribing.delete(topic.key);
    this.subscribing.add(topic);
    this.soon();
  }

  drop(topic) {
    this.lingering.delete(topic.key);
    this.topics.delete(topic.key);
    this.subscribing.delete(topic);
    this.unsubscribing.set(topic.key, topic.channel);
    this.soon();
  }

  // Scrolling opens and closes many channels at once: they leave together, and a large set leaves in parts.
  soon() {
    if (this.flushTimer === undefined && this.state.phase === "open") this.flushTimer = setTimeout(() => this.flush(), TICK_MS);
  }

  flush() {
    this.flushTimer = undefined;
    if (this.state.phase !== "open") return;
    const leaving = [...this.unsubscribing].slice(0, BATCH);
    for (const [key] of leaving) this.unsubscribing.delete(key);
    if (leaving.length) this.send({ op: "unsubscribe", channels: leaving.map(([, channel]) => channel) });
    const coming = [...this.subscribing].slice(0, BATCH);
    if (coming.length) this.subscribe(coming);
    if (this.unsubscribing.size || this.subscribing.size) this.soon();
  }

  subscribe(topics) {
    const id = (this.lastId += 1);
    this.requests.set(id, topics);
    const channels = topics.map((topic) => {
      this.subscribing.delete(topic);
      topic.requested();
      const rate = topic.channel.channel_type === "trade" ? undefined : wantedRate(topic.rates);
      return rate === undefined ? topic.channel : { ...topic.channel, max_rate: rate };
    });
    this.send({ op: "subscribe", id, channels });
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
    this.heard = performance.now();
    this.askedAt = this.heard;
    socket.onopen = () => this.socket === socket && this.opened();
    socket.onmessage = (event) => this.socket === socket && this.received(event.data);
    socket.onclose = ({ code, reason }) => this.socket === socket && this.closed(code, reason);
    this.change({ phase: "connecting" });
  }

  opened() {
    this.counts.connects += 1;
    this.pings.clear();
    this.requests.clear();
    this.unsubscribing.clear();
    this.clock = new Clock();
    this.ping();
    this.subscribing = new Set(this.topics.values());
    this.change({ phase: "open", rtt: undefined, retryAt: 0, said: "" });
    this.flush();
  }

  closed(code, reason) {
    this.socket = undefined;
    const wait = retryDelay(this.state.tries, Math.random(), reason);
    for (const topic of this.topics.values()) topic.lost();
    this.retryTimer = setTimeout(() => this.connect(), wait);
    const said = code === 1008 || code === 1013 ? `the server closed the connection: ${reason || code}` : "";
    const phase = navigator.onLine ? "waiting" : "offline";
    this.change({ phase, tries: this.state.tries + 1, retryAt: performance.now() + wait, rtt: undefined, ...(said && { said }) });
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

  // Judged by the oldest ping without any answer, not by the last message: a hidden tab's timers run once a minute.
  watch() {
    if (!this.socket) return;
    const waiting = this.heard < this.askedAt || this.state.phase === "connecting";
    if (waiting && performance.now() - this.askedAt >= DEAD_MS - 50) {
      const { socket } = this;
      this.closed(4000, "");
      socket.close(4000, "silent");
    } else if (this.state.phase === "open") {
      this.ping();
      for (const topic of this.topics.values()) if (topic.awaitsSnapshot() && !topic.error) this.resync(topic); // the answer never came
    }
  }

  measure() {
    const now = performance.now();
    this.rate = ((this.counts.received - this.rateMark.received) * 1000) / (now - this.rateMark.at);
    this.rateMark = { at: now, received: this.counts.received };
  }

  received(text) {
    const now = performance.now();
    this.heard = now;
    this.counts.received += 1;
    const { type, payload } = JSON.parse(text);
    if (type === "info") this.takeInfo(payload, now);
    else if (type === "error") this.takeError(payload);
    else this.route(type, payload, now);
  }

  route(type, payload, now) {
    const topic = this.topicOf(type, payload);
    if (!topic) return;
    if (type === "gap") {
      this.counts.gaps += 1;
      this.counts.missed += payload.missed ?? 0;
    }
    const timed = type === "ticker" || type === "order_book_delta" || (type === "trade" && !payload.replayed);
    if (timed && !topic.cached && topic.confirmed !== undefined) this.noteLag(topic, payload, now);
    topic.take(type, payload, now);
    this.counts.applied += 1;
  }

  // A sweep's tickers name their instrument, so they are found by what they are or else by the sweep of their market.
  topicOf(type, payload) {
    if (payload.channel) return this.topics.get(keyOf(identity(payload.channel)));
    const kind = type.startsWith("order_book") ? "order_book" : type;
    const found = this.topics.get(keyOf(payload, kind));
    return found ?? (type === "ticker" ? this.topics.get(keyOf({ ...payload, symbol: "*" }, type)) : undefined);
  }

  noteLag(topic, { timestamp }, now) {
    topic.lag = this.clock.at(now) - Date.parse(timestamp);
    (wantedRate(topic.rates) === undefined ? this.lag : this.lagLimited).push(topic.lag);
  }

  takeInfo(payload, now) {
    this.counts.applied += 1;
    if (payload.session) this.greeted(payload, now);
    else if (this.pings.has(payload.id)) this.ponged(payload, now);
    else if (this.requests.has(payload.id)) {
      const topics = this.requests.get(payload.id);
      this.requests.delete(payload.id);
      for (const { index, code, message } of payload.rejected ?? []) topics[index]?.refused({ code, message });
    }
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

  // An error that belongs to a subscribe is shown where that channel is; its `info` has come before if part of it was accepted.
  takeError({ code, message, id }) {
    this.counts.applied += 1;
    const topics = this.requests.get(id);
    this.requests.delete(id);
    if (topics) for (const topic of topics) topic.refused({ code, message });
    else if (id === undefined) this.change({ said: message });
  }
}
