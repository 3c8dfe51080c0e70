// One market in depth: figures, chart, order book, depth and trades, each of them saying whether it may be trusted.

import { AlertPoints } from "./alertpoints.js";
import { Bars } from "./bars.js";
import { Chart } from "./chart.js";
import { COMMON, ChartTools } from "./charttools.js";
import { Depth } from "./depth.js";
import { Drawer } from "./drawer.js";
import { button, el, icon, setAttr, show } from "./dom.js";
import { decimalsOf, price, stateWords } from "./format.js";
import { Figures } from "./figures.js";
import { ShownInterval } from "./intervals.js";
import { LastPrice } from "./last.js";
import { Ladder } from "./ladder.js";
import { Layout } from "./layout.js";
import { Panel, doubt } from "./panel.js";
import { Streams } from "./streams.js";
import { Tape } from "./tape.js";
import { lastPrice, linkTrouble, partTrusted, trusted } from "./topics.js";
import { Trust } from "./trust.js";
import { Unlisted } from "./unlisted.js";

// The digits after the point of an instrument's prices and sizes; undefined where the catalogue does not say.
const digitsOf = ({ price_precision: precision, tick_size: tick, step_size: step }) => ({ decimals: precision ?? decimalsOf(tick), steps: decimalsOf(step) });

export class MarketView {
  constructor(app) {
    this.app = app;
    this.recorded = undefined; // a RecordedFeed: another time than now is shown
    this.streams = new Streams(app.feed, app.catalogue);
    this.last = new LastPrice();
    this.interval = new ShownInterval();
    this.shown = false;
    document.addEventListener("visibilitychange", () => this.bars?.seenAgain());
    this.build();
  }

  // ---- building

  build() {
    const { app } = this;
    this.figures = new Figures(() => this.favourite());
    this.chart = new Chart({ announce: (text) => app.announce(text), clock: () => this.feed.serverNow() });
    this.chart.regroup = (interval) => this.regroup(interval);
    this.chart.layers.arrived = () => this.apply();
    this.trust = new Trust();
    this.chart.element.append(this.trust.element);
    this.ladder = new Ladder((changes) => this.change(changes));
    this.depth = new Depth();
    this.tape = new Tape(app.settings, { all: (on) => this.change({ tape: on ? "all" : "" }), digitsAt: (exchange) => this.digitsAt(exchange) });
    this.points = new AlertPoints(this);
    this.tools = new ChartTools({ change: (changes) => this.change(changes), table: () => this.chart.toggleTable() });
    const retry = (name) => () => this.feed.retry(this.topic(name));
    this.panels = {
      chart: new Panel("chart", "Chart", this.chart.element, { controls: this.tools.element, retry: () => this.retryChart() }),
      book: new Panel("book", "Book", this.ladder.element, { controls: this.ladder.controls, retry: retry("book") }),
      trades: new Panel("trades", "Trades", this.tape.element, { controls: this.tape.controls, retry: retry("trade") }),
      depth: new Panel("depth", "Depth", this.depth.element, { controls: null, retry: retry("book") }),
    };
    this.layout = new Layout(this.panels, (tab) => this.change({ tab }), () => this.shown && this.apply());
    this.unlisted = new Unlisted();
    const panels = Object.values(this.panels).map(({ element }) => element);
    this.grid = el("div", { class: "market-grid" }, this.figures.element, this.layout.tabs, ...panels);
    this.element = el("div", { class: "market" }, this.unlisted.element, this.grid);
    this.drawer = new Drawer(this);
    this.element.prepend(this.drawer.element);
    this.timeButton = button(icon("M8 1.5a6.5 6.5 0 1 0 .01 0zM8 3a5 5 0 1 1-.01 0zM7.3 4.5h1.4v3.2l2.3 2.3-1 1-2.7-2.7z"), () => this.toggleTime(), { class: "drawer-button time-button plain", "aria-label": "Recorded time (w)", title: "Recorded time (w)", "aria-expanded": "false" });
    this.drawer.button.after(this.timeButton);
    this.timeBox = el("div", { class: "time-box", hidden: true });
    this.grid.before(this.timeBox);
  }

  /** Where values come from: the feed or, of recorded time, what stands in its place. */
  get feed() {
    return this.recorded ?? this.app.feed;
  }

  // ---- coming and going

  /** Show the market of a route. */
  show(route) {
    this.shown = true;
    const id = `${route.exchange}/${route.market}/${route.symbol}`;
    this.route = route;
    if (id !== this.id) {
      this.leave();
      this.id = id;
    }
    if (this.instrument) this.apply();
    else this.decide();
    this.drawer.apply();
  }

  /** Give back every topic. */
  hide() {
    this.shown = false;
    this.drawer.apply();
    this.leave();
  }

  leave() {
    this.id = undefined;
    this.instrument = undefined;
    this.endBars();
    this.interval.reset();
    this.streams.end();
    this.trust.end();
    this.chart.layers.clear();
    this.endRecorded();
    show(this.timeBox, false);
  }

  endBars() {
    this.bars?.end();
    this.bars = undefined;
  }

  // Whether there is such a market. Nothing is asked of the server before that is known.
  decide() {
    const { catalogue, venues } = this.app;
    const { exchange, market, symbol } = this.route;
    this.decided = catalogue.version;
    this.trouble = venues.trouble(exchange);
    const found = symbol && catalogue.find(exchange, market, symbol);
    show(this.grid, Boolean(found));
    show(this.unlisted.element, !found);
    if (found) this.begin(found);
    else if (catalogue.loaded(exchange)) this.unlisted.unknown(catalogue, this.route);
    else this.unlisted.waiting(catalogue, exchange, this.trouble);
  }

  begin(instrument) {
    this.instrument = instrument;
    const { exchange, market_type: type, symbol, base, quote, native, status, tick_size: tick } = instrument;
    const name = `${exchange} ${type} ${symbol}`;
    this.market = { name, exchange, type, symbol, base, quote, native, status, tick, ...digitsOf(instrument) };
    this.last.reset();
    this.streams.begin(instrument);
    this.figures.setMarket(this.market);
    for (const each of [this.ladder, this.depth, this.tape, this.trust]) each.setMarket(this.market);
    this.apply();
  }

  // ---- recorded time

  /** Whether the address names another moment whose values are not there yet: nothing of now is shown meanwhile. */
  get isTravelling() {
    return Boolean(this.params.at) && !this.recorded;
  }

  // The address says which moment is shown.
  followTime() {
    const { at } = this.params;
    if (at === (this.followedAt ?? "")) return;
    this.followedAt = at;
    if (at) this.travel(at);
    else this.comeBack();
  }

  async travel(at) {
    const { instrument } = this;
    const isThere = await this.openTime();
    if (this.instrument !== instrument || this.followedAt !== at) return; // somebody went elsewhere meanwhile
    if (isThere) return void this.time.seek(Date.parse(at));
    this.app.notice(`No recorded time: ${this.time?.said ?? "the time control could not be fetched from the server"}.`);
    this.change({ at: "" });
  }

  comeBack() {
    const had = this.recorded !== undefined;
    this.endRecorded();
    if (had) this.rebuild();
  }

  // What is held is given back, and opened anew where values come from now.
  watch(recorded) {
    this.recorded = this.app.recorded = recorded;
    this.rebuild();
  }

  rebuild() {
    this.endBars();
    this.streams.end();
    this.chart.layers.clear();
    this.streams = new Streams(this.feed, this.app.catalogue);
    this.drawer.apply();
    this.begin(this.instrument);
  }

  endRecorded() {
    if (this.recorded) this.streams.end();
    this.time?.end();
    this.recorded = this.app.recorded = this.followedAt = undefined;
    this.streams.feed = this.app.feed;
  }

  /** Back to now. */
  goLive() {
    if (!this.params.at) return;
    this.change({ at: "" });
    this.app.announce("Live again");
    this.timeButton.focus();
  }

  toggleTime() {
    if (this.timeBox.hidden) this.openTime();
    else if (this.recorded) this.time.moment.focus();
    else this.closeTime();
  }

  closeTime() {
    show(this.timeBox, false);
    setAttr(this.timeButton, "aria-expanded", "false");
  }

  // Its code is fetched when it is first wanted. Resolves to whether anything of this market is recorded.
  async openTime() {
    show(this.timeBox, true);
    setAttr(this.timeButton, "aria-expanded", "true");
    try {
      const { TimeControl } = await import("./timecontrol.js");
      this.time ??= new TimeControl(this);
    } catch {
      this.timeBox.replaceChildren("The time control could not be fetched from the server.");
      return false;
    }
    if (this.time.element.parentNode !== this.timeBox) this.timeBox.replaceChildren(this.time.element);
    return this.time.load(this.instrument);
  }

  // The digits of this market at another venue.
  digitsAt(exchange) {
    const { market_type: market, symbol } = this.instrument;
    return digitsOf(this.app.catalogue.find(exchange, market, symbol) ?? {});
  }

  // The catalogue was read again: the market may have been halted or delisted. If it is gone, its streams say so.
  relist() {
    const { exchange, market_type: market, symbol } = this.instrument;
    this.decided = this.app.catalogue.version;
    this.market.status = this.app.catalogue.find(exchange, market, symbol)?.status ?? this.market.status;
  }

  // ---- parameters

  get params() {
    return this.app.route.params;
  }

  change(changes) {
    if (changes.tf) this.interval.reset();
    this.app.replaceParams(changes);
    if (this.instrument) this.apply();
  }

  // Puts the parameters of the address into effect.
  apply() {
    if (!this.instrument) return;
    this.followTime();
    if (this.isTravelling) return;
    const { tf, grp, depth, unit, ov, log, pct, lay, tape, tab } = this.params;
    this.zone = this.app.settings.zone;
    this.layout.apply(tab);
    this.applyInterval(this.interval.of(tf), tf);
    const overlays = [...new Set(ov.split(",").filter(Boolean))];
    const scale = pct ? "percent" : log ? "log" : "linear";
    const layers = lay.split(",");
    const hasLiquidations = this.market.type === "perpetual";
    this.tools.set(tf, overlays, scale, layers, hasLiquidations);
    this.chart.layers.set(layers.filter((name) => this.layout.sees("chart") && (hasLiquidations || name !== "liq")), this.market);
    this.chart.setOptions({ scale, overlays, zone: this.zone });
    this.ladder.setOptions({ group: Number(grp), mode: depth, unit });
    this.tape.setOptions(this.zone, tape === "all");
    this.drawFavourite();
    this.subscribe();
  }

  // `shown` instead of the chosen one where the chart is zoomed out further than bars of that can be narrow.
  applyInterval(shown, chosen) {
    this.chart.neighbours = this.interval.neighbours(shown, chosen);
    if (this.bars?.interval === shown) return;
    const isZoomed = this.bars !== undefined && this.zooming;
    this.bars?.end();
    this.streams.hold("candle");
    const { feed } = this;
    const isPast = this.recorded !== undefined;
    this.bars = new Bars(this.instrument, shown, { serverNow: () => feed.serverNow(), topic: () => this.topic("candle"), refused: () => this.apply(), isPast });
    const { series, history } = this.bars;
    if (isZoomed) this.chart.changeSeries(series, history, shown === chosen ? "" : `${chosen} shown as ${shown}`);
    else this.chart.setSeries(series, history, this.market);
  }

  regroup(interval) {
    if (this.app.scheduler.paused) return; // nothing new is shown then
    this.interval.show(interval, this.params.tf);
    this.zooming = true;
    this.apply();
    this.zooming = false;
  }

  // An interval that the venue does not have is passed over.
  passOver() {
    const next = this.bars.history.newest.isRefused && this.interval.after(this.bars.interval, this.params.tf);
    if (next) this.regroup(next);
  }

  // ---- topics

  topic(name) {
    return this.streams.topic(name);
  }

  subscribe() {
    const { bars, layout, params, ladder, chart: { layers } } = this;
    const listeners = {
      candle: (type, payload) => bars.takeCandle(type, payload),
      trade: (type, payload) => this.takeTrade(type, payload),
      liquidation: (type, payload) => this.takeLiquidation(type, payload),
    };
    if (this.streams.want({ layout, layers, params, interval: bars.interval, tall: ladder.tall }, listeners)) bars.history.recent();
    layers.takeTrades(this.topic("trade"));
  }

  // A venue that has none refuses; the page does not doubt the rest of the market for that.
  takeLiquidation(type, payload) {
    this.chart.layers.takeLiquidation(type, payload);
    if (type === "error") this.streams.hold("liquidation");
  }

  // The last price on the chart is that of the header and the tape. A stream in doubt does not move it.
  takeTrade(type, payload) {
    this.chart.layers.takeTrades(this.topic("trade"));
    if (trusted(this.topic("trade"), this.feed)) this.bars.takeTrade(type, payload);
  }

  retryChart() {
    const topic = this.topic("candle");
    if (topic.error) this.feed.retry(topic);
    this.bars.history.retry();
  }

  // ---- drawing

  /** Draws what is visible. */
  draw(now) {
    if (!this.instrument) {
      const { catalogue, venues } = this.app;
      if (this.shown && (this.decided !== catalogue.version || this.trouble !== venues.trouble(this.route.exchange))) this.decide();
      this.drawer.draw(now);
      return;
    }
    if (this.decided !== this.app.catalogue.version) this.relist();
    if (this.zone !== this.app.settings.zone) this.apply();
    if (!this.timeBox.hidden) this.time?.draw();
    setAttr(this.grid, "data-travelling", !this.bars);
    if (!this.bars) return; // the moment that the address names is on its way
    for (const { surface } of [this.chart, this.depth]) surface.mark(this.app.header.mark());
    this.last.look(this.topic("ticker"), this.topic("trade"), this.feed, now);
    // Pictures first: for each text on a canvas the browser works out the styles of all that was written before it.
    if (this.layout.sees("depth")) this.drawDepth(now);
    if (this.layout.sees("chart")) this.drawChart(now);
    this.figures.draw(this.topic("ticker"), this.last, this.feed, now, this.bars.series.last?.time);
    if (this.layout.sees("book")) this.drawBook(now);
    if (this.layout.sees("trades")) this.drawTrades(now);
    this.drawer.draw(now);
  }

  // A quiet candle stream proves nothing while the ticker of the same market says that the last price is old.
  chartTopic() {
    const candle = this.topic("candle");
    const ticker = this.topic("ticker");
    return candle.status.state === "quiet" && !partTrusted(ticker, "last", this.feed) ? ticker : candle;
  }

  drawChart(now) {
    this.passOver();
    const { feed } = this;
    const folded = this.topic("candle").error && this.topic("trade");
    const topic = folded || this.chartTopic();
    const age = topic.age(now);
    const since = age === undefined ? undefined : Math.round((feed.serverNow() - age) / 1000) * 1000;
    this.chart.setTrust(trusted(topic, feed), since, linkTrouble(feed) || stateWords({ ...topic.status, fields: [] }));
    if (this.last.good) this.bars.fold(this.last.price, this.last.time);
    const book = this.chart.layers.heat && this.streams.book();
    this.chart.layers.sample(feed.serverNow(), book && trusted(book, feed) ? book.value : undefined);
    const { state, message } = this.bars.history;
    this.chart.draw(now);
    this.panels.chart.draw(topic, feed, now, folded ? "live bar from trades, volume from REST" : "", state === "refused" ? message : "");
    const held = { ticker: this.topic("ticker"), trade: this.topic("trade"), order_book: this.topic("book"), candle: this.topic("candle") };
    if (!this.recorded) this.trust.draw(now, held, feed, this.zone); // the last hour is that before now
  }

  drawBook(now) {
    const { feed } = this;
    const topic = this.streams.book();
    this.panels.book.draw(topic, feed, now, topic.status.state === "resyncing" ? "rebuilding" : "");
    this.ladder.draw(topic, trusted(topic, feed), now);
    this.ladder.drawLast(this.last);
  }

  drawDepth(now) {
    const { feed } = this;
    const topic = this.streams.depthBook();
    const inQuote = this.params.unit === "quote";
    const key = `${topic.key} ${topic.version} ${feed.state.phase} ${inQuote}`;
    const isNew = this.depthSeen !== key;
    this.depthSeen = key;
    if (isNew) this.depth.setBook(topic.value, trusted(topic, feed), inQuote);
    this.depth.draw();
    const refused = this.topic("deep")?.error;
    this.panels.depth.draw(topic, feed, now, refused ? `no deeper book: ${refused.message}` : "");
    if (isNew && this.streams.deepen(topic.value)) this.subscribe();
  }

  drawTrades(now) {
    const { feed } = this;
    const topic = this.topic("trade");
    this.panels.trades.draw(topic, feed, now);
    this.tape.draw([topic, ...this.streams.mixed()], feed, now);
  }

  // ---- keys and words

  favourite() {
    this.app.settings.toggleFavourite(this.instrument);
    this.drawFavourite();
  }

  drawFavourite() {
    this.figures.setFavourite(this.app.settings.isFavourite(this.instrument));
  }

  // The next market of the same exchange and type that is traded, round and round.
  step(by) {
    const { exchange, market_type: market, symbol: here } = this.instrument;
    const fits = (each) => each.exchange === exchange && each.market_type === market && (each.status !== "halted" || each.symbol === here);
    const all = this.app.catalogue.all.filter(fits);
    const next = all[(all.findIndex(({ symbol }) => symbol === here) + by + all.length) % all.length];
    this.app.navigate({ view: "market", exchange, market, symbol: next.symbol, params: this.params });
  }

  /** A single key; true when it meant something here. */
  key(event) {
    if (this.drawer.key(event)) return true;
    if (!this.instrument) return false;
    const { key } = event;
    const actions = {
      j: () => this.step(1), k: () => this.step(-1), f: () => this.favourite(), r: () => this.read(),
      b: () => this.change({ grp: String(this.ladder.nextGroup) }), a: () => this.points.arm(this.points.crossed), w: () => this.toggleTime(),
      l: this.params.at && (() => this.goLive()),
    };
    const act = actions[key] ?? (COMMON["1234567".indexOf(key)] && (() => this.change({ tf: COMMON[key - 1] })));
    act?.();
    return Boolean(act);
  }

  // What a screen reader says on request; prices are never announced by themselves.
  read() {
    const { feed } = this;
    const now = performance.now();
    this.last.look(this.topic("ticker"), this.topic("trade"), feed, now);
    const why = this.last.why || doubt(this.topic("ticker"), feed, now);
    const last = price(this.last.price, this.market.decimals);
    this.app.announce(`${this.market.name}: last ${last}; ${this.ladder.words(this.streams.book()?.value)}${why ? `; not to be trusted: ${why}` : ""}`);
  }

  /** The last price and the name, for the window's title. */
  title() {
    if (!this.instrument) return undefined;
    const { symbol, decimals } = this.market;
    if (!this.bars) return symbol;
    const last = lastPrice(this.topic("ticker"), this.topic("trade"), this.feed);
    return last ? `${last.good ? "" : "! "}${price(last.price, decimals)} ${symbol}` : symbol;
  }
}
