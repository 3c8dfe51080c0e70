// What the page knows of one channel of /ws: the newest value, its freshness, and why it may not be trusted. No DOM, no socket.

import { Book } from "./book.js";
import { stateWords } from "./format.js";

const TRADES_KEPT = 500;
const DEPTH = 50;
const NOT_TRADED = ["halted", "delisted"]; // nobody is at fault, nothing will move

/** The channel with every default written out, without `max_rate`: the identity of a subscription. */
export function identity({ channel_type: type, exchange, market_type: market = "spot", symbol, depth, interval }) {
  const channel = { channel_type: type === "orderbook" ? "order_book" : type, exchange, market_type: market, symbol: spell(symbol) };
  if (channel.channel_type === "order_book") channel.depth = depth ?? DEPTH;
  if (interval !== undefined) channel.interval = interval;
  return channel;
}

// Always the text form; the server answers with the object form. A base may hold a dash itself, a quote does not.
function spell(symbol) {
  return typeof symbol === "string" ? symbol : `${symbol.base}-${symbol.quote}`;
}

/** The key of a channel, the same for what we sent, for what the server echoes and, with its kind given, for a value. */
export function keyOf(channel, type = channel.channel_type) {
  const part = type === "order_book" ? channel.depth : type === "candle" ? channel.interval : "";
  return `${type}|${channel.exchange}|${channel.market_type}|${spell(channel.symbol)}|${part}`;
}

/** The value of one channel, shared by everybody who opened it. */
export class Topic {
  /** `asksResync(topic)` is called when a book delta does not fit. */
  constructor(channel, asksResync = () => {}) {
    this.channel = identity(channel);
    this.key = keyOf(this.channel);
    this.users = 0;
    this.version = 1;
    this.status = { state: "connecting" };
    this.confirmed = undefined;
    this.error = null;
    this.value = this.channel.channel_type === "trade" ? [] : null;
    this.listeners = new Set();
    this.asksResync = asksResync;
    this.said = this.status;
    this.asked = false;
    this.cached = false;
    this.unproven = true;
  }

  /** ms since a frame confirmed the value; undefined when nothing ever did. */
  age(now = performance.now()) {
    return this.confirmed === undefined ? undefined : now - this.confirmed;
  }

  /** Call `listener(type, payload)` on every message; returns the function that ends it. Types beside the wire's: "lost", "error". */
  listen(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** A subscribe or resync is on its way: the status that answers it is followed by a value as old as that status says. */
  requested() {
    this.asked = true;
    this.error = null;
    this.version += 1;
  }

  /** The connection is gone: the value stays for reading, nothing about it is proven any more. */
  lost() {
    this.status = this.said = { state: "connecting", source: this.said.source };
    this.unproven = true;
    this.cached = this.asked = false;
    this.tell("lost", null);
  }

  refused(error) {
    this.error = error;
    this.asked = false;
    this.status = this.said = { state: "closed", cause: "rejected" };
    this.tell("error", error);
  }

  take(type, payload, now) {
    if (type === "status") this.takeStatus(payload, now);
    else if (type === "trade") this.takeTrade(payload, now);
    else if (type === "gap") this.push({ gap: payload.missed ?? "some" });
    else if (type === "order_book_snapshot") this.takeSnapshot(payload, now);
    else if (type === "order_book_delta") this.takeDelta(payload, now);
    else {
      this.value = payload;
      this.confirm(now);
    }
    this.tell(type, payload);
  }

  tell(type, payload) {
    this.version += 1;
    for (const listener of this.listeners) listener(type, payload);
  }

  takeStatus(status, now) {
    this.said = status;
    this.status = this.awaitsSnapshot() && status.state === "live" ? { ...status, state: "resyncing" } : status;
    if (status.age_ms !== undefined) this.confirmed = now - status.age_ms;
    this.cached = this.asked && status.age_ms !== undefined;
    this.asked = false;
  }

  // The value that follows the answer to a subscribe is as old as the status said, not new.
  confirm(now) {
    if (!this.cached) this.confirmed = now;
    this.cached = false;
  }

  // Deltas did not fit, so the held book is not the venue's; the server itself still says live.
  awaitsSnapshot() {
    return this.channel.channel_type === "order_book" && this.value !== null && this.unproven;
  }

  takeSnapshot(payload, now) {
    this.value = Book.fromSnapshot(payload);
    this.unproven = false;
    this.status = this.said;
    this.confirm(now);
  }

  takeDelta(payload, now) {
    if (!this.unproven && this.value.apply(payload)) this.confirm(now);
    else if (!this.unproven) {
      this.unproven = true;
      this.status = { ...this.said, state: "resyncing", cause: "gap" };
      this.asksResync(this);
    }
  }

  // After a loss the replay may repeat what is held, or start later than it ended: then some are missing, and nobody knows how many.
  takeTrade(trade, now) {
    const last = this.value[this.value.length - 1];
    if (trade.replayed || this.unproven) {
      if (last && (trade.timestamp < last.timestamp || this.value.some(({ id }) => id === trade.id))) this.unproven = false;
      else this.pushAfterLoss(trade, last);
    } else this.push(trade);
    if (!trade.replayed) this.confirm(now);
  }

  pushAfterLoss(trade, last) {
    if (last && this.unproven) this.push({ gap: "some", timestamp: trade.timestamp });
    this.unproven = false;
    this.push(trade);
  }

  push(entry) {
    this.value.push(entry);
    if (this.value.length > TRADES_KEPT) this.value.shift();
  }
}

/** Whether the shown value may be believed: the socket is open and the server says so. */
export function trusted(topic, feed) {
  return feed.state.phase === "open" && (topic.status.state === "live" || topic.status.state === "quiet");
}

/** How fresh a topic is, in words: `{good, text, kind}`, kind is for the style sheet. */
export function freshness(topic, feed) {
  if (topic.error) return { good: false, text: topic.error.message, kind: "bad" };
  if (feed.state.phase !== "open") return { good: false, text: "no connection", kind: "bad" };
  const { state, cause } = topic.status;
  const kind = { live: "good", quiet: "good", connecting: "waiting" }[state] ?? (NOT_TRADED.includes(cause) ? "waiting" : "bad");
  return { good: kind === "good", text: stateWords(topic.status), kind };
}
