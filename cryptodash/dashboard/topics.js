// What the page knows of one channel of /ws: the newest value, its freshness, and why it may not be trusted. No DOM, no socket.

import { Book } from "./book.js";
import { stateWords } from "./format.js";

const TRADES_KEPT = 500;
const GOOD = ["live", "quiet"];
const DEPTH = 50;

/** Channels of which every message counts: none replaces another, none is left out for a rate. */
export const LISTS = new Set(["trade", "liquidation"]);

const NOT_TRADED = ["halted", "delisted"]; // nobody is at fault, nothing will move
const WAITS = [undefined, "capacity"]; // why a stream may be connecting although nothing is wrong

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
    this.value = LISTS.has(this.channel.channel_type) ? [] : null;
    this.listeners = new Set();
    this.asksResync = asksResync;
    this.said = this.status;
    this.asked = false;
    this.cached = false;
    this.unproven = true;
    this.cursor = undefined;
    this.isLost = false;
    this.doubted = undefined; // when the part that is in doubt was confirmed last
    this.lateMs = 0;
  }

  /** ms since a frame confirmed the value, where it is in doubt the part that is; undefined when nothing ever did. */
  age(now = performance.now()) {
    const at = GOOD.includes(this.status.state) ? this.confirmed : this.doubted ?? this.confirmed;
    return at === undefined ? undefined : now - at;
  }

  /** Call `listener(type, payload)` on every message; returns the function that ends it. Types beside the wire's: "lost", "error". */
  listen(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** A subscribe or resync is on its way: the status that answers it is followed by a value as old as that status says. */
  requested() {
    if (this.since() !== undefined) this.unproven = false; // what is missing comes, or the server says that it does not
    this.isLost = false;
    this.asked = true;
    this.error = null;
    this.version += 1;
  }

  /** Where to go on after a loss; undefined: with what is true now. */
  since() {
    return this.isLost ? this.cursor : undefined;
  }

  /** The connection is gone: the value stays for reading, nothing about it is proven any more. */
  lost() {
    this.status = this.said = { state: "connecting", source: this.said.source };
    this.doubted = undefined;
    this.unproven = true;
    this.cached = this.asked = false;
    this.isLost = true;
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
    else if (LISTS.has(type)) this.takeTrade(payload, now);
    else if (type === "gap") this.takeGap(payload);
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
    this.takeAge(status, now);
    this.cached = this.asked && status.age_ms !== undefined;
    this.asked = false;
  }

  // The age of a status that names fields is theirs: the others go on, and confirm nothing of them.
  takeAge({ age_ms: old, fields = [], cause }, now) {
    this.doubted = old !== undefined && fields.length ? now - old : undefined;
    this.lateMs = cause === "late" ? old ?? 0 : 0;
    if (this.doubted === undefined && old !== undefined) this.confirmed = now - old;
    else this.confirmed ??= this.doubted;
  }

  // The value that follows the answer to a subscribe is as old as the status said, not new; of a late one each is as old as the first was.
  confirm(now) {
    if (!this.cached) this.confirmed = now - this.lateMs;
    if (this.lateMs && this.doubted !== undefined) this.doubted = this.confirmed;
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
      if (last && (trade.timestamp < last.timestamp || (trade.id !== undefined && this.value.some(({ id }) => id === trade.id)))) this.unproven = false;
      else this.pushAfterLoss(trade, last);
    } else this.push(trade);
    this.cursor = trade.cursor ?? this.cursor;
    if (!trade.replayed) this.confirm(now);
  }

  // Of candles only the newest is held.
  takeGap({ missed }) {
    if (LISTS.has(this.channel.channel_type)) this.push({ gap: missed ?? "some" });
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

// Of recorded time that counts which the state was then.
const stands = ({ state, recorded_state: then }) => GOOD.includes(state === "recorded" ? then : state);

/** Whether the shown value may be believed: the socket is open and the server says so. */
export function trusted(topic, feed) {
  return feed.state.phase === "open" && stands(topic.status);
}

/** Whether one part of a ticker (`last`, `bid`, `stats`, ...) may be believed: a status may doubt some parts only. */
export function partTrusted(topic, part, feed) {
  const { fields = [] } = topic.status;
  return feed.state.phase === "open" && !fields.includes(part) && (fields.length > 0 || trusted(topic, feed));
}

/** The newest trade of a topic, if there is one: a gap is none. */
export const newest = (trades) => trades?.value.findLast(({ gap }) => gap === undefined);

/**
 * The last price of a market: `{price, time, good, topic}`, the newer of what its ticker and its trades say by the venue's time; undefined before
 * there is any. `topic` is whose word it is. Either topic may be undefined.
 */
export function lastPrice(ticker, trades, feed) {
  const quoted = ticker?.value?.last === undefined ? undefined
    : { price: ticker.value.last, time: ticker.value.last_time ?? "", good: partTrusted(ticker, "last", feed), topic: ticker };
  const trade = newest(trades);
  const traded = trade && { price: trade.price, time: trade.timestamp, good: trusted(trades, feed), topic: trades };
  if (!quoted || !traded) return quoted ?? traded;
  if (quoted.time === traded.time) return quoted.good && !traded.good ? quoted : traded;
  return quoted.time > traded.time ? quoted : traded;
}

/** Why nothing that is shown is believed, whatever it is; empty where the connection to the server is good. */
export function linkTrouble({ state: { phase } }) {
  if (phase === "open") return "";
  return phase === "silent" ? "no answer" : "no connection";
}

/** Whether an instrument of the catalogue is traded, in its words: the status of its stream says so sooner than the next list. */
export function tradingStatus({ status }, topic) {
  const { state, cause } = topic?.status ?? {};
  if (NOT_TRADED.includes(cause)) return cause;
  return status === "halted" && GOOD.includes(state) ? "trading" : status;
}

/** How fresh a topic is, in words: `{good, text, kind}`, kind is for the style sheet. */
export function freshness(topic, feed) {
  if (topic.error) return { good: false, text: topic.error.message, kind: "bad" };
  const trouble = linkTrouble(feed);
  if (trouble) return { good: false, text: trouble, kind: "bad" };
  const { state, cause } = topic.status;
  const waits = NOT_TRADED.includes(cause) || (state === "connecting" && WAITS.includes(cause));
  const kind = GOOD.includes(state) ? "good" : waits ? "waiting" : "bad";
  return { good: kind === "good", text: stateWords(topic.status), kind };
}

/** Whether a value that is shown of a topic is in doubt: a fault of somebody's, or a market that stands still and was heard of before. */
export function isInDoubt(topic, feed) {
  const { good, kind } = freshness(topic, feed);
  return kind === "bad" || (!good && NOT_TRADED.includes(topic.status.cause) && topic.age() !== undefined);
}
