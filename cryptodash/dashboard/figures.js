// The line above the panels: the last price and everything else that a ticker says, each figure with its own doubt.

import { el, setAttr, setClass, setText } from "./dom.js";
import { DASH, age, bps, compact, date, iso, price, signed, signedPercent, size } from "./format.js";
import { CLOCK, doubt } from "./panel.js";
import { spreadBps } from "./rules.js";
import { partTrusted, tradingStatus } from "./topics.js";

// [label, the name of its part in `fields` of a status, text, exact text for the tooltip]
const FIGURES = [
  ["Bid", "bid", (t, m) => price(t.bid, m.decimals), (t, m) => `${size(t.bid_size, m.steps)} ${m.base}`],
  ["Ask", "ask", (t, m) => price(t.ask, m.decimals), (t, m) => `${size(t.ask_size, m.steps)} ${m.base}`],
  ["Spread bp", "ask", (t) => bps(spreadBps(t)), (t, m) => `${price(t.ask - t.bid, m.decimals)} ${m.quote}`],
  ["24h high", "stats", (t, m) => price(t.high_24h, m.decimals)],
  ["24h low", "stats", (t, m) => price(t.low_24h, m.decimals)],
  ["24h vol", "stats", (t, m) => compact(t.volume_24h), (t, m) => `${size(t.volume_24h, m.steps)} ${m.base}`],
  ["24h turnover", "stats", (t) => compact(t.quote_volume_24h), (t, m) => `${price(t.quote_volume_24h, 2)} ${m.quote}`],
];
const PERPETUAL = [
  ["Mark", "mark_price", (t, m) => price(t.mark_price, m.decimals)],
  ["Index", "index_price", (t, m) => price(t.index_price, m.decimals)],
  ["Funding", "funding_rate", (t) => (t.funding_rate === undefined ? DASH : `${signed(t.funding_rate * 100, 4)} %`), (t) => t.next_funding_time],
  ["Open interest", "open_interest", (t) => compact(t.open_interest), (t, m) => `${size(t.open_interest, m.steps)} ${m.base}`],
];

const two = (number) => String(number).padStart(2, "0");

/** Time that is left as h:mm:ss; an en dash when it is over or not known. */
export function countdown(ms) {
  if (!(ms >= 0)) return DASH;
  const seconds = Math.floor(ms / 1000);
  return `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

export class Figures {
  /** `star()` is called for the favourite button. */
  constructor(star) {
    this.star = el("button", { type: "button", class: "starbutton", onclick: star });
    this.name = el("h1");
    this.where = el("span", { class: "muted" });
    this.amount = el("span");
    this.arrow = el("span", { class: "arrow" });
    this.last = el("strong", { class: "last number" }, this.amount, this.arrow);
    this.change = el("span", { class: "number" });
    this.fresh = el("span", { class: "fresh" });
    this.list = el("dl", { class: "figures" });
    const name = el("div", { class: "market-name" }, this.star, this.name, this.where);
    this.element = el("header", { class: "market-head" }, name, el("div", { class: "market-last" }, this.last, this.change, this.fresh), this.list);
  }

  /** The market as made by the view: { name, symbol, exchange, type, native, base, quote, decimals, steps, status }. */
  setMarket(market) {
    this.market = market;
    this.seen = this.lastTime = undefined;
    setText(this.name, market.symbol);
    setAttr(this.where, "title", `${market.native} at the exchange`);
    const figures = market.type === "perpetual" ? [...FIGURES, ...PERPETUAL] : FIGURES;
    this.figures = figures.map(([name, part, text, exact]) => {
      const label = el("dt", {}, name);
      return { part, text, exact, label, value: el("dd", { class: "number" }) };
    });
    this.funding = this.figures.find(({ part }) => part === "funding_rate")?.label;
    this.list.replaceChildren(...this.figures.map(({ label, value }) => el("div", {}, label, value)));
  }

  setFavourite(on) {
    setText(this.star, on ? "\u2605" : "\u2606");
    setAttr(this.star, "aria-pressed", String(on));
    setAttr(this.star, "aria-label", "Favourite (f)");
  }

  // A market that ended says when it was last heard of.
  drawWhere(topic, lastTime) {
    const { exchange, type } = this.market;
    const status = tradingStatus(this.market, topic);
    const over = status === "delisted" || topic.status.state === "closed";
    const heard = topic.value ? Date.parse(topic.value.timestamp) : lastTime;
    const parts = [`${exchange} ${type}`, status === "trading" ? "" : status.replace("_", " "), over && heard ? `last data ${date(heard)}` : ""];
    setText(this.where, parts.filter(Boolean).join(", "));
  }

  /** Draws the topic of the ticker and the last price (a LastPrice); `lastTime` is the open time of the newest bar, if there is one. */
  draw(topic, last, feed, now, lastTime) {
    this.drawWhere(topic, lastTime);
    const why = last.why || doubt(topic, feed, now);
    setText(this.fresh, why ? `${CLOCK} ${why}` : topic.age(now) > 1000 ? `${topic.status.state} ${age(topic.age(now))}` : topic.status.state);
    setClass(this.fresh, why ? "fresh doubtful" : "fresh");
    this.drawFunding(topic, feed);
    this.drawLast(last);
    const key = `${topic.version} ${feed.state.phase}`;
    if (this.seen === key) return;
    this.seen = key;
    const ticker = topic.value ?? {};
    const bad = (part) => !partTrusted(topic, part, feed);
    this.drawChange(ticker, bad("last"));
    for (const { part, text, exact, value } of this.figures) {
      setText(value, text(ticker, this.market));
      setClass(value, bad(part) ? "number doubtful" : "number");
      setAttr(value, "title", exact ? exact(ticker, this.market) : null);
    }
  }

  drawLast(last) {
    const { decimals, quote } = this.market;
    setText(this.arrow, last.arrow);
    setClass(this.arrow, `arrow ${last.moved}`);
    setText(this.amount, price(last.price, decimals));
    setClass(this.last, `last number ${last.classes}`);
    if (this.lastTime !== last.time) setAttr(this.last, "title", last.time ? `${quote}, ${iso(Date.parse(last.time))}` : null);
    this.lastTime = last.time;
  }

  drawChange({ change_pct_24h: percent, change_24h: change }, bad) {
    const { decimals, quote } = this.market;
    setText(this.change, signedPercent(percent));
    setClass(this.change, bad ? "number doubtful" : `number ${percent > 0 ? "up" : percent < 0 ? "down" : ""}`);
    setAttr(this.change, "title", `in 24 hours; ${signed(change, decimals)} ${quote}`);
  }

  // The countdown runs by the server's clock, not with the messages.
  drawFunding(topic, feed) {
    const next = topic.value?.next_funding_time;
    if (next && this.funding) setText(this.funding, `Funding in ${countdown(Date.parse(next) - feed.serverNow())}`);
  }
}
