// The trades of one market, newest first, in rows that are made once: orders rather than fills, liquidations and other venues among them.

import { Column } from "./column.js";
import { Rows, cells, el, setAttr, setClass, setText, show } from "./dom.js";
import { age, amount, iso, price, size, time, zoneName } from "./format.js";
import { mixed, ordersOf } from "./orders.js";
import { doubt } from "./panel.js";
import { TapeTools } from "./tapetools.js";
import { trusted } from "./topics.js";

const ROWS_MIN = 40;
const ROWS_MAX = 120;
const ARROWS = { buy: "\u25b2", sell: "\u25bc" };
const CLASSES = ["", "number", "number", "side", "venue"];
const CLOSED = { sell: "a long", buy: "a short" };

export class Tape {
  /** `all(on)` is called when trades of all venues are wanted, or not any more; `digitsAt(exchange)` gives {decimals, steps} of the market there. */
  constructor(settings, { all, digitsAt }) {
    this.digitsAt = digitsAt;
    this.least = 0;
    this.paused = false;
    this.count = ROWS_MIN;
    this.tools = new TapeTools(settings, { all, changed: () => (this.seen = undefined) });
    this.build();
  }

  build() {
    const oninput = () => this.filterBy(this.filter.value);
    this.filter = el("input", { type: "number", min: "0", step: "any", placeholder: "0", inputmode: "decimal", oninput });
    this.stop = el("button", { type: "button", class: "toggle", "aria-pressed": "false", onclick: () => this.pause() }, "pause");
    this.unit = el("span");
    this.controls = el("span", { class: "controls" }, el("label", {}, "min ", this.filter, " ", this.unit), this.stop, this.tools.opener);
    this.caption = el("caption", { class: "unseen" });
    this.heads = ["Time", "Price", "Size", "Side", "Venue"].map((name, index) => el("th", { scope: "col", class: CLASSES[index] }, name));
    const body = el("tbody", { onpointerover: (event) => this.explain(event) });
    this.rows = new Rows(body, () => cells(CLASSES));
    this.priceColumn = new Column();
    const columns = [el("col", { class: "tape-time" }), this.priceColumn.element, el("col"), el("col", { class: "tape-side" })];
    this.table = el("table", { class: "tape" }, this.caption, el("colgroup", {}, ...columns), el("thead", {}, el("tr", {}, ...this.heads)), body);
    this.room = el("div", { class: "tape-room", tabindex: "0", role: "region", "aria-label": "Trades" }, this.table);
    this.foot = el("p", { class: "panel-foot" });
    this.element = el("div", { class: "tape-box" }, this.tools.element, this.room, this.foot);
    new ResizeObserver(([{ contentRect }]) => this.fit(contentRect.height)).observe(this.room);
  }

  // As many rows as there is room for, and some to scroll to where there is little.
  fit(height) {
    this.count = Math.min(ROWS_MAX, Math.max(ROWS_MIN, Math.ceil(height / 20)));
    this.seen = undefined;
  }

  /** { name, base, quote, decimals, steps } */
  setMarket(market) {
    this.market = market;
    this.since = undefined;
    this.heardAt = undefined;
    this.priceColumn.reset();
    this.pause(false);
    this.filter.value = "";
    this.filterBy("");
    this.tools.setMarket(market);
    setText(this.unit, market.base);
    setText(this.caption, `Trades of ${market.name}, newest first`);
    setText(this.heads[1], `Price ${market.quote}`);
    setText(this.heads[2], `Size ${market.base}`);
  }

  /** The zone of the times, and whether trades of all venues are mixed. */
  setOptions(zone, all) {
    this.zone = zone;
    this.seen = undefined;
    this.tools.setAll(all);
    setClass(this.table, all ? "tape all" : "tape");
    setText(this.heads[0], zone === "utc" || zone === "local" ? `Time ${zoneName(zone)}` : "Time");
    setAttr(this.heads[0], "title", zoneName(zone));
  }

  filterBy(text) {
    this.least = Math.max(0, Number(text) || 0);
    this.seen = undefined;
  }

  /** Hold the rows of the tape alone, or go on. */
  pause(on = !this.paused) {
    this.paused = on;
    this.seen = undefined;
    this.held = undefined;
    setText(this.stop, on ? "go on" : "pause");
    setAttr(this.stop, "aria-pressed", String(on));
  }

  /** Draws topics of trades and liquidations, the market's own trades first. */
  draw(topics, feed, now) {
    const [own] = topics;
    const serverNow = feed.serverNow();
    this.since ??= serverNow;
    if (this.paused) this.held ??= topics.map(({ value }) => [...value]);
    setText(this.foot, this.footText(topics, feed, now));
    setClass(this.element, trusted(own, feed) || !own.value.length ? "tape-box" : "tape-box doubt");
    const key = topics.map(({ key: each, version }) => `${each} ${version}`).join();
    if (this.seen === key || (this.paused && this.seen !== undefined)) return;
    this.seen = key;
    const lists = topics.map((topic, index) => ordersOf(this.held?.[index] ?? topic.value, this.about(topic, own)));
    this.chosen = mixed(lists, this.count, ({ quantity }) => quantity >= this.least);
    this.rows.fill(this.chosen, (row, entry) => this.write(row, entry));
    this.listen();
  }

  // Each venue has its own steps: another's trades are not cut to ours.
  about({ channel: { channel_type: kind, exchange } }, own) {
    const isOwn = exchange === own.channel.exchange;
    const { decimals, steps } = isOwn ? this.market : this.digitsAt(exchange);
    return { kind, exchange, venue: isOwn ? "" : exchange, decimals: steps, priceDecimals: decimals };
  }

  isLarge({ value }) {
    return this.tools.least > 0 && value >= this.tools.least;
  }

  // What is large and new is heard, however much of it came at once.
  listen() {
    const news = this.chosen.filter(({ timestamp, replayed, note }) => !note && !replayed && timestamp > this.heardAt);
    if (news.some((each) => this.isLarge(each))) this.tools.sounds();
    this.heardAt = this.chosen.find(({ note }) => !note)?.timestamp ?? "";
  }

  write(row, entry) {
    const [when, at, quantity, side, venue] = row.cells;
    const { note } = entry;
    row.element.entry = entry;
    setAttr(when, "colspan", note ? "5" : null);
    for (const cell of [at, quantity, side, venue]) show(cell, !note);
    setText(when, note ?? time(Date.parse(entry.timestamp), this.zone));
    if (note) {
      setClass(row.element, "note");
      return;
    }
    const { decimals: steps, priceDecimals } = entry;
    const large = this.isLarge(entry);
    const prices = [...new Set([entry.from, entry.price])].map((each) => price(each, priceDecimals)).join("\u2013");
    setClass(row.element, `${entry.replayed ? "past " : ""}${entry.side}${large ? " large" : ""}${entry.kind === "trade" ? "" : " liquidation"}`);
    this.priceColumn.fit(prices);
    setText(at, prices);
    setText(quantity, `${large ? "\u25c6 " : ""}${amount(entry.quantity, steps)}`);
    setAttr(quantity, "title", entry.quantity >= 1e6 ? size(entry.quantity, steps) : null);
    const fills = entry.fills > 1 ? ` ${entry.fills}\u00d7` : "";
    setText(side, entry.kind === "trade" ? `${entry.side} ${ARROWS[entry.side]}${fills}` : `liq. ${ARROWS[entry.side]}`);
    setText(venue, entry.exchange);
  }

  // A tooltip is written when somebody points at the row, not with every trade.
  explain({ target }) {
    const row = target.closest("tr");
    const { entry } = row ?? {};
    if (!entry?.timestamp) return;
    const { timestamp, id, replayed, fills, side, value, kind, complete } = entry;
    const what = kind === "trade" ? (fills > 1 ? `${fills} fills of one order, the last of id ${id}` : `id ${id}`)
      : `liquidation of ${CLOSED[side]}${complete === false ? " (the venue tells a sample only)" : ""}`;
    row.title = `${iso(Date.parse(timestamp))}, ${what}, ${price(value, 2)} ${this.market.quote}${replayed ? ", before this page looked" : ""}`;
  }

  footText(topics, feed, now) {
    const [own, ...others] = topics;
    const said = others.filter((topic) => !trusted(topic, feed)).map((topic) => `${topic.channel.exchange} ${topic.channel.channel_type}s ${doubt(topic, feed, now)}`);
    const sample = topics.some(({ value, channel }) => channel.channel_type === "liquidation" && value.at(-1)?.complete === false);
    return [this.ownText(topics, own, feed), ...said, sample ? "liquidations are a sample, by the venue" : ""].filter(Boolean).join("; ");
  }

  ownText(topics, own, feed) {
    const entries = this.held?.[0] ?? own.value;
    const trades = entries.filter(({ gap }) => gap === undefined);
    if (!trades.length) return `no trades since ${time(this.since, this.zone)}`;
    if (this.paused) {
      const at = own.value.lastIndexOf(entries.at(-1));
      return `paused, ${at < 0 ? "more than 500" : own.value.length - 1 - at} newer`;
    }
    if (this.chosen && !this.chosen.some(({ note }) => !note)) return `none of ${trades.length} trades is ${this.least} ${this.market.base} or more`;
    const at = Date.parse(trades.at(-1).timestamp);
    return feed.isRecorded ? `recorded, last trade ${time(at, this.zone)}` : `last trade ${age(feed.serverNow() - at)} ago`;
  }
}
