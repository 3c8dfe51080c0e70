// The bars of one market and interval: what REST knows, moved by live bars or, where the server has none, by trades.

import { fetchJson } from "./dom.js";
import { History, Series, slotOf, timeOf } from "./series.js";

const HIDDEN_MS = 60000;
const FOLD_MS = 15000;

export class Bars {
  /** `topic()` is the topic of the live bars, `refused()` is called when the server has none; `isPast`: nothing of after `serverNow()` is shown. */
  constructor(instrument, interval, { serverNow, topic, refused, isPast = false }) {
    Object.assign(this, { instrument, interval, topic, refused, serverNow, isPast });
    this.series = new Series(interval);
    this.history = new History(this.series, (params) => this.fetch(params), serverNow);
  }

  fetch({ limit, end }) {
    const { exchange, market_type: market, symbol } = this.instrument;
    const query = new URLSearchParams({ exchange, market_type: market, symbol, interval: this.interval, limit });
    const until = end ?? (this.isPast ? timeOf(slotOf(this.serverNow(), this.interval), this.interval) - 1 : undefined);
    if (until !== undefined) query.set("end", until);
    return fetchJson(`api/candles?${query}`);
  }

  /** A message of the live bars. */
  takeCandle(type, payload) {
    if (type === "lost") this.isLost = true;
    else if (type === "candle" && this.series.put(payload)) this.history.recent();
    else if (type === "status" && this.isLost) {
      this.isLost = false;
      this.history.recent();
    } else if (type === "error") this.refused();
  }

  /** A message of the trades: each moves the open bar. Where the server has no live bars, its volume is asked for now and then. */
  takeTrade(type, payload) {
    if (type !== "trade") return;
    const opened = this.fold(payload.price, payload.timestamp);
    if (payload.replayed || !this.topic()?.error) return;
    const now = performance.now();
    if (!opened && now - (this.foldedAt ?? 0) < FOLD_MS) return;
    this.foldedAt = now;
    this.history.recent();
  }

  /** The last price moves the open bar; `time` as on the wire, "" where the venue says none. True when it opened one. */
  fold(price, time) {
    return time !== "" && this.series.fold(price, Date.parse(time));
  }

  /** The tab was hidden, or is seen again. */
  seenAgain() {
    if (document.hidden) this.hiddenAt = performance.now();
    else if (performance.now() - this.hiddenAt > HIDDEN_MS) this.history.recent();
  }

  end() {
    this.history.end();
  }
}
