// The venues of a symbol in a table, who is best of those that may be compared, and who is left out.

import { comparedQuotes, stateText, valueAge } from "./compare_quotes.js";
import { Delays, boundText } from "./compare_delays.js";
import { Rows, cells, el, setAttr, setClass, setText, table } from "./dom.js";
import { age, bps, price, signed } from "./format.js";
import { CLOCK } from "./panel.js";
import { Refusal } from "./refusal.js";
import { marketHash } from "./route.js";
import { best, median, mid, offBps, spreadBps } from "./rules.js";
import { freshness } from "./topics.js";

const AGE_MS = 500;
const COLUMNS = ["Exchange", ["Bid", "number"], ["Ask", "number"], ["Mid", "number wide"], ["vs median bp", "number"], ["Spread bp", "number wide"],
  ["Last", "number wide"], ["Age", "number"], ["Lag", "number wide2"], ["Delay p50", "number wide"], ["Delay p99", "number wide"], ["State", "wrap"]];
const DELAY = "In the last hour, by the server: of this exchange's messages half (p50), or 99 of 100 (p99), came no later than this after they were sent";

export class VenueTable {
  /** `valueOf(ticker)` is the value that is compared. */
  constructor(app, valueOf) {
    this.app = app;
    this.valueOf = valueOf;
    this.delays = new Delays();
    this.summary = el("p", { class: "summary" });
    this.crossed = el("strong", { class: "crossed vacant" });
    this.left = el("p", { class: "left-out" });
    const { element, body } = table("Venues compared", COLUMNS, { class: "grid natural venues" });
    this.rows = new Rows(body, () => this.makeRow());
    this.refusal = new Refusal("delays", () => this.delays.begin());
    this.element = el("div", { class: "panel" }, el("div", { class: "summary-line" }, this.summary, this.crossed), this.left, this.refusal.element,
      el("div", { class: "scroll" }, element));
    this.set([], undefined);
  }

  makeRow() {
    const row = cells(["", ...COLUMNS.slice(1).map(([, name]) => name)]);
    row.link = el("a");
    row.cells[0].append(row.link);
    for (const cell of row.cells.slice(9, 11)) setAttr(cell, "title", DELAY);
    return row;
  }

  /** `venues` [{exchange, instrument, topic}], and the topic of the composite quote where there are several. */
  open(venues, composite) {
    this.set(venues, composite);
    this.delays.begin();
  }

  close() {
    this.delays.end();
  }

  set(venues, composite) {
    Object.assign(this, { venues, composite });
    this.agedAt = -Infinity; // the rows still say the age and lag of what they showed before
    this.decimals = Math.max(0, ...venues.map(({ instrument }) => instrument.price_precision));
    this.compared = { quotes: [], trouble: "" };
    this.values = new Map();
    this.reference = undefined;
  }

  /** What is compared now: `values` by venue and `reference`, their median. */
  take(now) {
    this.compared = comparedQuotes(this.venues, this.composite, this.app.feed, now);
    const counted = new Set(best(this.compared.quotes).used.map(({ exchange }) => exchange));
    const good = this.venues.filter(({ exchange, topic }) => counted.has(exchange) && freshness(topic, this.app.feed).good);
    this.values = new Map(good.map(({ exchange, topic }) => [exchange, this.valueOf(topic.value)]).filter(([, value]) => value !== undefined));
    this.reference = this.values.size > 1 ? median([...this.values.values()]) : undefined; // one alone is not compared with itself
  }

  draw(now) {
    this.refusal.say(this.delays.refused);
    this.drawSummary();
    const ages = now - this.agedAt >= AGE_MS;
    if (ages) this.agedAt = now;
    this.rows.fill(this.venues, (row, venue) => this.drawRow(row, venue, now, ages));
  }

  drawRow(row, { exchange, instrument, topic }, now, ages) {
    const { feed } = this.app;
    const fresh = freshness(topic, feed);
    const ticker = topic.value ?? {};
    const { price_precision: decimals } = instrument;
    const [, bid, ask, middle, off, spread, last, old, lag, p50, p99, state] = row.cells;
    setText(row.link, `${fresh.good ? "" : `${CLOCK} `}${exchange}`);
    setAttr(row.link, "href", marketHash(instrument));
    setText(bid, price(ticker.bid, decimals));
    setText(ask, price(ticker.ask, decimals));
    setText(middle, price(mid(ticker), decimals + 1));
    setText(off, this.values.has(exchange) ? signed(offBps(this.values.get(exchange), this.reference), 2) : "left out");
    setText(spread, bps(spreadBps(ticker)));
    setText(last, price(ticker.last, decimals));
    if (ages || !fresh.good) setText(old, age(valueAge(topic, now)));
    if (ages) setText(lag, fresh.good && topic.lag !== undefined ? `${Math.round(topic.lag)} ms` : "\u2013");
    const delays = this.delays.of(exchange);
    setText(p50, boundText(delays?.p50));
    setText(p99, boundText(delays?.p99));
    setText(state, stateText(topic, feed, now));
    setClass(state, `state wrap ${fresh.kind}`);
    setClass(row.element, fresh.good ? "" : "untrusted");
  }

  drawSummary() {
    const { quotes, trouble } = this.compared;
    const { used, bid, ask, crossed } = best(quotes);
    const side = (name, { exchange, ticker }) => `best ${name} ${exchange} ${price(ticker[name], this.decimals)}`;
    const none = trouble ? `nothing can be compared: ${trouble}` : "no venue can be trusted now";
    setText(this.summary, bid ? `${side("bid", bid)} \u00b7 ${side("ask", ask)}` : none);
    setClass(this.crossed, crossed === undefined ? "crossed vacant" : "crossed");
    setText(this.crossed, crossed === undefined ? "not crossed" : crossed > 0 ? `CROSSED ${bps(crossed)} bp gross` : "LOCKED: bid equals ask");
    const why = trouble ? [] : quotes.filter((each) => !used.includes(each)).map((each) => `${each.exchange} ${each.why}`);
    setText(this.left, `${used.length} of ${quotes.length} venues${why.length ? `: left out ${why.join("; ")}` : ""}`);
    setClass(this.left, why.length || trouble ? "left-out warned" : "left-out muted");
  }
}
