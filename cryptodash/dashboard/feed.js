// What is said on the one WebSocket of the page: shared subscriptions, and where each message belongs. No DOM but whether the tab is hidden.

import { Connection, TICKED_MS } from "./connection.js";
import { Ring } from "./scheduler.js";
import { token } from "./token.js";
import { LISTS, Topic, identity, keyOf } from "./topics.js";

const LINGER_MS = 5000;
const BATCH = 200;
const TICK_MS = 25;
const RESYNC_MS = 5000;

/** The rate to ask for when several want the same channel; undefined is without a limit. */
export const wantedRate = (rates) => (rates.includes(undefined) ? undefined : Math.max(...rates));

export class Feed extends Connection {
  constructor() {
    super();
    this.rate = 0;
    this.counts = { received: 0, applied: 0, statuses: 0, gaps: 0, missed: 0, resyncs: 0, connects: 0 };
    this.lag = new Ring(2048);
    this.lagLimited = new Ring(512);
    this.topics = new Map();
    this.subscribing = new Set();
    this.unsubscribing = new Map();
    this.lingering = new Map();
    this.requests = new Map();
    this.rateMark = { at: performance.now(), received: 0 };
    this.replays = undefined; // a RecordedFeed, while recorded time is shown
  }

  start() {
    setInterval(() => this.measure(), 1000);
    super.start();
  }

  opened() {
    this.counts.connects += 1;
    this.requests.clear();
    this.unsubscribing.clear();
    this.subscribing = new Set(this.topics.values());
    this.resyncedAt = performance.now();
    super.opened();
    this.flush();
    this.replays?.opened();
  }

  change(news) {
    if (news.phase && news.phase !== this.state.phase) for (const topic of this.topics.values()) topic.version += 1; // believed, or not any more
    super.change(news);
  }

  closed(code, reason) {
    for (const topic of this.topics.values()) topic.lost();
    this.replays?.lost();
    super.closed(code, reason);
  }

  leave() {
    for (const topic of this.topics.values()) topic.lost();
    this.replays?.lost();
    super.leave();
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
    if (this.flushTimer === undefined && this.connected) this.flushTimer = setTimeout(() => this.flush(), TICK_MS);
  }

  flush() {
    this.flushTimer = undefined;
    if (!this.connected) return;
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
      const since = topic.since();
      topic.requested();
      const rate = LISTS.has(topic.channel.channel_type) ? undefined : wantedRate(topic.rates);
      return { ...topic.channel, ...(rate !== undefined && { max_rate: rate }), ...(since !== undefined && { since }) };
    });
    this.send({ op: "subscribe", id, channels });
  }

  // The answer to a resync never came.
  checked(now) {
    if (now - this.resyncedAt < RESYNC_MS) return;
    this.resyncedAt = now;
    for (const topic of this.topics.values()) if (topic.awaitsSnapshot() && !topic.error) this.resync(topic);
  }

  measure() {
    const now = performance.now();
    this.rate = ((this.counts.received - this.rateMark.received) * 1000) / (now - this.rateMark.at);
    this.rateMark = { at: now, received: this.counts.received };
  }

  received(text) {
    const now = performance.now();
    this.hears(now);
    this.counts.received += 1;
    const { type, payload } = JSON.parse(text);
    if (this.replays?.takes(type, payload, now) || payload.replay_id !== undefined) this.counts.applied += 1;
    else if (type === "info") this.takeInfo(payload, now);
    else if (type === "error") this.takeError(payload);
    else this.route(type, payload, now);
    if (document.hidden && now - this.ticked >= TICKED_MS) this.told(now);
  }

  route(type, payload, now) {
    const topic = this.topicOf(type, payload);
    if (!topic) return;
    if (type === "status") this.counts.statuses += 1;
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
    if (payload.auth) this.takeAuth(payload);
    else if (payload.session) this.greeted(payload, now);
    else if (this.pings.has(payload.id)) this.ponged(payload, now);
    else if (this.requests.has(payload.id)) {
      const topics = this.requests.get(payload.id);
      this.requests.delete(payload.id);
      for (const { index, code, message } of payload.rejected ?? []) topics[index]?.refused({ code, message });
    }
  }

  takeAuth({ auth, expires }) {
    if (auth === "required" && !token.value) this.lock("");
    else if (auth !== "required") this.change({ ends: auth === "expiring" ? expires : undefined });
  }

  // An error that belongs to a subscribe is shown where that channel is; its `info` has come before if part of it was accepted.
  takeError({ code, message, id }) {
    this.counts.applied += 1;
    if (code === "unauthorized") return void this.lock(message);
    const topics = this.requests.get(id);
    this.requests.delete(id);
    if (topics) for (const topic of topics) topic.refused({ code, message });
    else if (id === undefined) this.change({ said: message });
  }
}
