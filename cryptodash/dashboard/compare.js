// One symbol on every venue that has it, side by side: who is best, who is off, and who may not be counted.

import { emptyState } from "./catalogue.js";
import { Rows, Toggles, cells, el, fillSelect, select, setAttr, setClass, setText, show, table, worded } from "./dom.js";
import { age, bps, price, signed, stateWords } from "./format.js";
import { Lines } from "./lines.js";
import { CLOCK } from "./panel.js";
import { marketHash } from "./route.js";
import { best, median, mid, offBps, spreadBps } from "./rules.js";
import { freshness, trusted } from "./topics.js";

const MAX_RATE = 10;
const SAMPLE_MS = 1000;
const SAMPLES = 600;
const AGE_MS = 500;

const COLUMNS = ["Exchange", ["Bid", "number"], ["Ask", "number"], ["Mid", "number wide"], ["vs median bp", "number"], ["Spread bp", "number wide"],
  ["Last", "number wide"], ["Age", "number wide"], ["Lag", "number wide2"], "State"];

export class CompareView {
  constructor(app) {
    this.app = app;
    this.venues = [];
    this.symbol = select("Symbol", [], "", (value) => this.choose(value));
    this.ref = select("Compared value", [["mid", "middle of bid and ask"], ["last", "last price"]], "mid", (ref) => this.refer(ref));
    this.toggles = new Toggles("Exchanges", (names) => this.pick(names));
    this.heading = el("h1", { class: "title" });
    this.summary = el("p", { class: "summary" });
    this.crossed = el("strong", { class: "crossed vacant" });
    this.left = el("p", { class: "left-out" });
    this.message = el("div", { class: "empty", hidden: true });
    const { element, body } = table("Venues compared", COLUMNS, { class: "grid natural" });
    this.rows = new Rows(body, () => this.makeRow());
    this.host = el("div", { class: "linehost" });
    this.lines = new Lines(this.host, { label: "Difference of each venue from the median, bp", unit: "bp", decimals: 2 });
    this.panels = el("div", { class: "compare-panels" },
      el("div", { class: "panel" }, el("div", { class: "summary-line" }, this.summary, this.crossed), this.left,
        el("div", { class: "scroll" }, element)),
      el("div", { class: "panel grow" }, el("h2", {}, "Difference from the median, bp, last 10 minutes of this view"), this.host));
    this.element = el("section", { class: "compare", "aria-label": "Compare" },
      el("div", { class: "filters" }, this.heading, this.symbol, this.ref, this.toggles.element), this.message, this.panels);
    this.agedAt = -Infinity;
  }

  makeRow() {
    const row = cells(["", ...COLUMNS.slice(1).map((column) => (Array.isArray(column) ? column[1] : ""))]);
    row.link = el("a");
    row.cells[0].append(row.link);
    return row;
  }

  show(route) {
    this.route = route;
    this.shown = true;
    this.open();
  }

  hide() {
    this.shown = false;
    this.close();
  }

  // The same symbol on the same kind of market, in the catalogue's order of venues.
  open() {
    const { market, symbol, params } = this.route;
    const { catalogue, feed } = this.app;
    this.catalogued = catalogue.version;
    const chosen = params.ex ? params.ex.split(",") : [];
    this.listed = catalogue.venuesOf(market, symbol).map((exchange) => catalogue.find(exchange, market, symbol));
    const wanted = this.listed.filter(({ exchange }) => !chosen.length || chosen.includes(exchange));
    const key = [market, symbol, ...wanted.map(({ exchange }) => exchange)].join();
    this.drawFilters(chosen);
    if (key === this.opened) return;
    this.close();
    this.opened = key;
    this.agedAt = -Infinity; // the rows still say the age and lag of what they showed before
    this.venues = wanted.map((instrument) => ({
      instrument, exchange: instrument.exchange, points: [],
      topic: feed.open({ channel_type: "ticker", exchange: instrument.exchange, market_type: market, symbol, max_rate: MAX_RATE }),
    }));
    // Which quotes may be compared, by the server: it knows for what time each holds.
    this.composite = wanted.length < 2 ? undefined
      : feed.open({ channel_type: "bbo", exchange: "composite", market_type: market, symbol, max_rate: MAX_RATE });
    this.decimals = Math.max(0, ...wanted.map((each) => each.price_precision));
    this.sampledAt = 0;
    this.feedLines();
  }

  close() {
    for (const { topic } of this.venues) this.app.feed.close(topic, MAX_RATE);
    this.app.feed.close(this.composite, MAX_RATE);
    this.composite = undefined;
    this.venues = [];
    this.opened = undefined;
  }

  choose(value) {
    const [market, symbol] = value.split("/");
    this.app.navigate({ view: "compare", market, symbol, params: this.route.params });
  }

  refer(ref) {
    this.app.replaceParams({ ref });
    for (const venue of this.venues) venue.points = [];
    this.feedLines();
  }

  title() {
    return this.route && `${this.route.symbol} compared`;
  }

  key(event) {
    const step = { j: 1, k: -1 }[event.key];
    const options = [...this.symbol.options].map(({ value }) => value);
    if (!step || !options.length) return false;
    this.choose(options[(options.indexOf(this.symbol.value) + step + options.length) % options.length]);
    return true;
  }

  drawFilters(chosen) {
    const { market, symbol } = this.route;
    const { catalogue } = this.app;
    const count = new Map();
    for (const each of catalogue.all) count.set(`${each.market_type}/${each.symbol}`, (count.get(`${each.market_type}/${each.symbol}`) ?? 0) + 1);
    const here = `${market}/${symbol}`;
    const names = [...count].filter(([name, venues]) => venues > 1 || name === here).map(([name]) => name);
    if (!names.includes(here)) names.unshift(here);
    fillSelect(this.symbol, names.map((name) => [name, name.replace(/^(\w+)\/(.*)/, "$2 $1")]), here);
    setText(this.heading, `${symbol} ${market}`);
    this.ref.value = this.route.params.ref;
    this.toggles.draw(this.listed.map(({ exchange }) => exchange), chosen);
  }

  pick(names) {
    this.app.replaceParams({ ex: names.join() });
    this.route = this.app.route;
    this.open();
  }

  valueOf(ticker) {
    return this.app.route.params.ref === "last" ? ticker?.last : mid(ticker);
  }

  draw(now) {
    if (this.catalogued !== this.app.catalogue.version) this.open();
    this.drawMessage();
    if (!this.venues.length) return;
    const quotes = this.venues.map(({ exchange, topic }) => ({ exchange, topic, ticker: topic.value, good: freshness(topic, this.app.feed).good }));
    const values = quotes.filter(({ good }) => good).map(({ ticker }) => this.valueOf(ticker)).filter((value) => value !== undefined);
    const reference = values.length > 1 ? median(values) : undefined; // one alone is not compared with itself
    if (now - this.sampledAt >= SAMPLE_MS) this.sample(now, quotes, reference);
    this.drawSummary(quotes);
    const ages = now - this.agedAt >= AGE_MS;
    if (ages) this.agedAt = now;
    this.rows.fill(this.venues, (row, venue) => this.drawRow(row, venue, reference, now, ages));
    this.lines.zone = this.app.settings.zone;
    this.lines.mark = this.app.header.mark();
    this.lines.draw();
  }

  drawRow(row, { instrument, topic }, reference, now, ages) {
    const { feed } = this.app;
    const fresh = freshness(topic, feed);
    const ticker = topic.value ?? {};
    const { price_precision: decimals } = instrument;
    const [, bid, ask, middle, off, spread, last, old, lag, state] = row.cells;
    setText(row.link, `${fresh.good ? "" : `${CLOCK} `}${instrument.exchange}`);
    setAttr(row.link, "href", marketHash(instrument));
    setText(bid, price(ticker.bid, decimals));
    setText(ask, price(ticker.ask, decimals));
    setText(middle, price(mid(ticker), decimals + 1));
    setText(off, fresh.good ? signed(offBps(this.valueOf(ticker), reference), 2) : "left out");
    setText(spread, bps(spreadBps(ticker)));
    setText(last, price(ticker.last, decimals));
    if (ages || !fresh.good) setText(old, age(topic.age(now)));
    if (ages) setText(lag, fresh.good && topic.lag !== undefined ? `${Math.round(topic.lag)} ms` : "\u2013");
    setText(state, fresh.text);
    setClass(state, `state ${fresh.kind}`);
    setClass(row.element, fresh.good ? "" : "untrusted");
  }

  // The quotes with what the server compares in the tickers' place, and why each is left out. Without an answer of the server: the tickers.
  compared(quotes) {
    const { app: { feed }, composite } = this;
    if (!composite?.value || composite.error) {
      return quotes.map((each) => ({ ...each, why: each.good ? "has no bid and ask" : freshness(each.topic, feed).text }));
    }
    const { venues, excluded } = composite.value;
    const good = trusted(composite, feed);
    return quotes.map(({ exchange, topic, good: own }) => {
      const left = feed.state.phase === "open" && excluded.find((each) => each.exchange === exchange);
      const why = left || own ? stateWords(left || composite.status) : freshness(topic, feed).text;
      return { exchange, ticker: venues[exchange], good, why };
    });
  }

  drawSummary(quotes) {
    const all = this.compared(quotes);
    const { used, bid, ask, crossed } = best(all);
    const side = (name, { exchange, ticker }) => `best ${name} ${exchange} ${price(ticker[name], this.decimals)}`;
    setText(this.summary, bid ? `${side("bid", bid)} \u00b7 ${side("ask", ask)}` : "no venue can be trusted now");
    setClass(this.crossed, crossed === undefined ? "crossed vacant" : "crossed");
    setText(this.crossed, crossed === undefined ? "not crossed" : crossed > 0 ? `CROSSED ${bps(crossed)} bp gross` : "LOCKED: bid equals ask");
    const why = all.filter((each) => !used.includes(each)).map((each) => `${each.exchange} ${each.why}`);
    setText(this.left, `${used.length} of ${quotes.length} venues${why.length ? `: left out ${why.join("; ")}` : ""}`);
    setClass(this.left, why.length ? "left-out warned" : "left-out muted");
  }

  // A venue that cannot be trusted leaves a hole in its line, and so does an hour in which nobody looked.
  sample(now, quotes, reference) {
    const t = this.app.feed.serverNow();
    quotes.forEach(({ good, ticker }, index) => {
      const { points } = this.venues[index];
      if (this.sampledAt && now - this.sampledAt > 3 * SAMPLE_MS) points.push([t - SAMPLE_MS, null]);
      points.push([t, (good ? offBps(this.valueOf(ticker), reference) : undefined) ?? null]);
      if (points.length > SAMPLES) points.splice(0, points.length - SAMPLES);
    });
    this.sampledAt = now;
    this.feedLines();
  }

  feedLines() {
    this.lines.setSeries(this.venues.map(({ exchange, points }) => ({ name: exchange, points })));
  }

  drawMessage() {
    const { market, symbol } = this.route;
    const { catalogue } = this.app;
    const unknown = catalogue.missing.map((exchange) => this.app.venues.trouble(exchange)).join("; ");
    const none = `No exchange has ${market} ${symbol}${unknown && `, as far as is known: ${unknown}`}.`;
    const text = this.venues.length ? "" : !catalogue.all.length ? emptyState(this.app)
      : this.listed.length ? "No exchange is chosen." : catalogue.complete ? none : "Loading the catalogue\u2026";
    show(this.message, Boolean(text));
    show(this.panels, !text);
    if (this.message.said === text) return;
    this.message.said = text;
    const near = text.startsWith("No exchange has") ? catalogue.near(`${market} ${symbol}`) : [];
    const names = [...new Set(near.map((each) => `${each.market_type}/${each.symbol}`))];
    const links = names.map((name) => el("a", { href: `#/compare/${name}` }, name.replace("/", " ")));
    this.message.replaceChildren(...worded(text), ...links, el("a", { href: "#/markets" }, "all markets"));
  }
}
