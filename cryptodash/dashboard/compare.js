// One symbol on every venue that has it, side by side: who is best, who is off, and who may not be counted.

import { emptyState } from "./catalogue.js";
import { Basis } from "./compare_basis.js";
import { ConsolidatedBook } from "./compare_book.js";
import { Leads } from "./compare_lead.js";
import { DifferenceLines } from "./compare_lines.js";
import { SymbolSearch, comparable } from "./compare_search.js";
import { Sizes } from "./compare_sizes.js";
import { VenueTable } from "./compare_table.js";
import { Toggles, el, select, setClass, setText, show, worded } from "./dom.js";
import { mid } from "./rules.js";

const MAX_RATE = 10;
/** Nothing is seen before the first quotes, for so long at most: it would move when they come. */
const PENDING_MS = 1500;

export class CompareView {
  constructor(app) {
    this.app = app;
    this.venues = [];
    this.symbol = new SymbolSearch(app, ({ market_type: market, symbol }) => this.choose(`${market}/${symbol}`));
    this.ref = select("Compared value", [["mid", "middle of bid and ask"], ["last", "last trade, of any moment"]], "mid", (ref) => this.refer(ref));
    this.toggles = new Toggles("Exchanges", (names) => this.pick(names));
    this.heading = el("h1", { class: "title" });
    this.message = el("div", { class: "empty", hidden: true });
    this.table = new VenueTable(app, (ticker) => this.valueOf(ticker));
    this.lines = new DifferenceLines(app);
    const sizes = new Sizes(app);
    this.parts = [this.lines, new ConsolidatedBook(app, (exchange) => sizes.feeOf(exchange)), sizes, new Basis(app), new Leads(app)];
    this.panels = el("div", { class: "compare-panels" }, this.table.element, ...this.parts.map(({ element }) => element));
    this.element = el("section", { class: "compare", "aria-label": "Compare" },
      el("div", { class: "filters" }, this.heading, this.symbol.element, this.ref, this.toggles.element), this.message, this.panels);
  }

  show(route) {
    this.route = route;
    this.open();
  }

  hide() {
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
    this.venues = wanted.map((instrument) => ({
      instrument, exchange: instrument.exchange,
      topic: feed.open({ channel_type: "ticker", exchange: instrument.exchange, market_type: market, symbol, max_rate: MAX_RATE }),
    }));
    // Which quotes may be compared, by the server: it knows for what time each holds.
    this.composite = wanted.length < 2 ? undefined
      : feed.open({ channel_type: "bbo", exchange: "composite", market_type: market, symbol, max_rate: MAX_RATE });
    this.table.open(this.venues, this.composite);
    this.openedAt = performance.now();
    for (const part of this.parts) part.open({ market, symbol, venues: this.venues });
  }

  close() {
    for (const { topic } of this.venues) this.app.feed.close(topic, MAX_RATE);
    this.app.feed.close(this.composite, MAX_RATE);
    if (this.opened !== undefined) for (const part of [this.table, ...this.parts]) part.close();
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
    this.lines.restart();
  }

  title() {
    return this.route && `${this.route.symbol} compared`;
  }

  key(event) {
    const step = { j: 1, k: -1 }[event.key];
    if (!step) return false;
    const here = `${this.route.market}/${this.route.symbol}`;
    const names = comparable(this.app.catalogue, here);
    this.choose(names[(names.indexOf(here) + step + names.length) % names.length]);
    return true;
  }

  drawFilters(chosen) {
    const { market, symbol } = this.route;
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
    const isPending = this.composite && !this.composite.value && !this.composite.error && now - this.openedAt < PENDING_MS;
    setClass(this.element, isPending ? "compare pending" : "compare");
    this.table.take(now);
    this.lines.sample(now, this.table.values);
    this.table.draw(now);
    for (const part of this.parts) part.draw(now);
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
