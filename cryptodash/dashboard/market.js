// One market in depth: figures, chart, order book, depth and trades, each of them saying whether it may be trusted.

import { Chart } from "./chart.js";
import { COMMON, ChartTools } from "./charttools.js";
import { Depth } from "./depth.js";
import { el, fetchJson, setAttr, setClass, show } from "./dom.js";
import { decimalsOf, price, stateWords } from "./format.js";
import { Figures } from "./figures.js";
import { Ladder } from "./ladder.js";
import { Panel, doubt } from "./panel.js";
import { marketHash } from "./route.js";
import { History, Series } from "./series.js";
import { Tape } from "./tape.js";
import { trusted } from "./topics.js";

const TABS = [["chart", "Chart"], ["book", "Book"], ["trades", "Trades"], ["depth", "Depth"]];
const WIDE = "(min-width: 900px)";
const TICKER_RATE = 10;
const DEPTHS = { 5: 100, 10: 200, 50: 500, 100: 1000 }; // levels held for a grouping; else 50
const HIDDEN_MS = 60000;
const FOLD_MS = 15000;

export class MarketView {
  constructor(app) {
    this.app = app;
    this.holds = new Map();
    this.shown = false;
    this.wide = matchMedia(WIDE);
    this.wide.addEventListener("change", () => this.shown && this.apply());
    document.addEventListener("visibilitychange", () => this.seenAgain());
    this.build();
  }

  // ---- building

  build() {
    const { app } = this;
    this.figures = new Figures(() => this.favourite());
    this.chart = new Chart({ announce: (text) => app.announce(text), clock: () => app.feed.serverNow() });
    this.ladder = new Ladder((changes) => this.change(changes));
    this.depth = new Depth();
    this.tape = new Tape();
    this.tools = new ChartTools({ change: (changes) => this.change(changes), table: () => this.chart.toggleTable() });
    const retry = (name) => () => app.feed.retry(this.topic(name));
    this.panels = {
      chart: new Panel("chart", "Chart", this.chart.element, { controls: this.tools.element, retry: retry("candle") }),
      book: new Panel("book", "Book", this.ladder.element, { controls: this.ladder.controls, retry: retry("book") }),
      trades: new Panel("trades", "Trades", this.tape.element, { controls: this.tape.controls, retry: retry("trade") }),
      depth: new Panel("depth", "Depth", this.depth.element, { controls: null, retry: retry("book") }),
    };
    this.tabs = this.makeTabs();
    this.message = el("div", { class: "market-message", role: "status" });
    this.grid = el("div", { class: "market-grid" }, this.figures.element, this.tabs, ...Object.values(this.panels).map(({ element }) => element));
    this.element = el("div", { class: "market" }, this.message, this.grid);
  }

  makeTabs() {
    this.tabButtons = new Map(TABS.map(([name, text]) => {
      const onclick = () => this.change({ tab: name });
      return [name, el("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": `view-${name}`, onclick }, text)];
    }));
    const onkeydown = (event) => this.tabKey(event);
    return el("div", { class: "market-tabs", role: "tablist", "aria-label": "Panels", onkeydown }, ...this.tabButtons.values());
  }

  tabKey(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const names = [...this.tabButtons.keys()];
    const next = names[(names.indexOf(this.params.tab) + step + names.length) % names.length];
    this.change({ tab: next });
    this.tabButtons.get(next).focus();
    event.preventDefault();
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
  }

  /** Give back every topic. */
  hide() {
    this.shown = false;
    this.leave();
  }

  leave() {
    this.id = undefined;
    this.instrument = undefined;
    this.history?.end();
    this.series = this.history = undefined;
    for (const name of [...this.holds.keys()]) this.hold(name);
  }

  // Whether there is such a market. Nothing is asked of the server before that is known.
  decide() {
    const { catalogue } = this.app;
    const { exchange, market, symbol } = this.route;
    this.decided = catalogue.version;
    this.trouble = this.app.venues.trouble(this.route.exchange);
    const found = symbol && catalogue.find(exchange, market, symbol);
    show(this.grid, Boolean(found));
    show(this.message, !found);
    if (found) this.begin(found);
    else if (catalogue.loaded(exchange)) this.unknown(exchange, market, symbol ?? "");
    else this.waiting();
  }

  waiting() {
    const { catalogue } = this.app;
    const none = catalogue.answered && catalogue.venues.length === 0;
    const idle = "No exchange is running. Start the server with --exchanges binance,bybit, or try --demo.";
    const text = none ? idle : this.trouble ? `No list of markets yet: ${this.trouble}. The server goes on trying.`
      : `Reading the list of markets of ${this.route.exchange ?? "the exchange"}.`;
    setClass(this.message, none || this.trouble ? "market-message" : "market-message skeleton");
    this.message.replaceChildren(el("p", {}, text), catalogue.error ? el("p", { class: "muted" }, catalogue.error) : "");
  }

  unknown(exchange, market, symbol) {
    const { catalogue } = this.app;
    const near = catalogue.near(`${exchange} ${market} ${symbol}`, 5);
    const list = near.map((each) => el("li", {}, el("a", { href: marketHash(each) }, `${each.exchange} ${each.market_type} ${each.symbol}`)));
    const where = catalogue.venues.includes(exchange) ? `${exchange} has no ${market} ${symbol}` : `There is no exchange "${exchange}" here`;
    setClass(this.message, "market-message");
    this.message.replaceChildren(
      el("h1", {}, where),
      near.length ? el("p", {}, "Did you mean:") : "",
      el("ul", {}, ...list),
      el("p", {}, el("a", { href: "#/markets" }, "All markets")),
    );
  }

  begin(instrument) {
    this.instrument = instrument;
    const { exchange, market_type: type, symbol, base, quote, native, status, tick_size: tick, step_size: step } = instrument;
    const decimals = instrument.price_precision ?? decimalsOf(tick);
    const name = `${exchange} ${type} ${symbol}`;
    this.market = { name, exchange, type, symbol, base, quote, native, status, tick, decimals, steps: decimalsOf(step) };
    this.figures.setMarket(this.market);
    for (const each of [this.ladder, this.depth, this.tape]) each.setMarket(this.market);
    this.apply();
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
    this.app.replaceParams(changes);
    if (this.instrument) this.apply();
  }

  // Puts the parameters of the address into effect.
  apply() {
    if (!this.instrument) return;
    const { tf, grp, depth, ov, log, tab } = this.params;
    this.zone = this.app.settings.zone;
    this.visible = this.wide.matches ? new Set(TABS.map(([name]) => name)) : new Set([tab]);
    this.applyTabs(tab);
    this.applyInterval(tf);
    const overlays = [...new Set(ov.split(",").filter(Boolean))];
    this.tools.set(tf, overlays, log === "1");
    this.chart.setOptions({ log: log === "1", overlays, zone: this.zone });
    this.ladder.setOptions({ group: Number(grp), mode: depth });
    this.tape.setZone(this.zone);
    this.drawFavourite();
    this.subscribe(tf);
  }

  applyTabs(tab) {
    const wide = this.wide.matches;
    show(this.tabs, !wide);
    for (const [name, button] of this.tabButtons) {
      setAttr(button, "aria-selected", String(name === tab));
      setAttr(button, "tabindex", name === tab ? "0" : "-1");
      const { element } = this.panels[name];
      show(element, this.visible.has(name));
      setAttr(element, "role", wide ? null : "tabpanel");
    }
  }

  applyInterval(tf) {
    if (this.series?.interval === tf) return;
    this.history?.end();
    this.hold("candle");
    this.series = new Series(tf);
    this.history = new History(this.series, (params) => this.askCandles(tf, params), () => this.app.feed.serverNow());
    this.chart.setSeries(this.series, this.history, this.market);
  }

  // ---- topics

  topic(name) {
    return this.holds.get(name)?.topic;
  }

  // Hold the channel under this name instead of what was held; without a channel hold nothing. True when it was not held before.
  hold(name, channel, listener) {
    const held = this.holds.get(name);
    const key = channel && JSON.stringify(channel);
    if (held?.key === key) return false;
    if (held) {
      held.end();
      this.app.feed.close(held.topic, held.rate);
      this.holds.delete(name);
    }
    if (!channel) return false;
    const topic = this.app.feed.open(channel);
    this.holds.set(name, { topic, key, rate: channel.max_rate, end: listener ? topic.listen(listener) : () => {} });
    return true;
  }

  subscribe(interval) {
    const { exchange, market_type: market, symbol } = this.instrument;
    const channel = (type, more) => ({ channel_type: type, exchange, market_type: market, symbol, ...more });
    const sees = (...names) => names.some((name) => this.visible.has(name));
    const folds = sees("chart") && this.topic("candle")?.error;
    this.hold("ticker", channel("ticker", { max_rate: TICKER_RATE }));
    const candle = sees("chart") ? channel("candle", { interval }) : undefined;
    if (this.hold("candle", candle, (type, payload) => this.takeCandle(type, payload))) this.history.recent();
    this.holdBook(sees("book", "depth") ? channel("order_book", { depth: DEPTHS[this.params.grp] ?? 50 }) : undefined);
    this.hold("trade", sees("trades") || folds ? channel("trade") : undefined, (type, payload) => this.takeTrade(type, payload));
  }

  // A coarser grouping wants a deeper book. The one that is held is shown until the other has come.
  holdBook(channel) {
    const held = this.holds.get("book");
    const moves = channel && held?.topic.value && held.topic.channel.depth !== channel.depth;
    if (moves || !channel) this.hold("bookBefore");
    if (moves) {
      this.holds.set("bookBefore", held);
      this.holds.delete("book");
    }
    this.hold("book", channel);
  }

  book() {
    const next = this.topic("book");
    const before = this.topic("bookBefore");
    if (!before) return next;
    if (!next.value && !next.error) return before;
    this.hold("bookBefore");
    return next;
  }

  async askCandles(interval, { limit, end }) {
    const { exchange, market_type: market, symbol } = this.instrument;
    const query = new URLSearchParams({ exchange, market_type: market, symbol, interval, limit });
    if (end !== undefined) query.set("end", end);
    try {
      return await fetchJson(`api/candles?${query}`);
    } catch (error) {
      error.refused = error.status === 400 || error.status === 404;
      throw error;
    }
  }

  takeCandle(type, payload) {
    if (type === "lost") this.candlesLost = true;
    else if (type === "candle" && this.series.put(payload)) this.history.recent();
    else if (type === "status" && this.candlesLost) {
      this.candlesLost = false;
      this.history.recent();
    } else if (type === "error") this.apply();
  }

  // Where the server has no live bars the trades move the open one; its volume is asked for now and then.
  takeTrade(type, payload) {
    if (type !== "trade" || payload.replayed || !this.topic("candle")?.error) return;
    const opened = this.series.fold(payload);
    const now = performance.now();
    if (!opened && now - (this.foldedAt ?? 0) < FOLD_MS) return;
    this.foldedAt = now;
    this.history.recent();
  }

  seenAgain() {
    if (document.hidden) this.hiddenAt = performance.now();
    else if (this.history && performance.now() - this.hiddenAt > HIDDEN_MS) this.history.recent();
  }

  // ---- drawing

  /** Draws what is visible. */
  draw(now) {
    if (!this.instrument) {
      const { catalogue, venues } = this.app;
      if (this.shown && (this.decided !== catalogue.version || this.trouble !== venues.trouble(this.route.exchange))) this.decide();
      return;
    }
    if (this.decided !== this.app.catalogue.version) this.relist();
    if (this.zone !== this.app.settings.zone) this.apply();
    this.history.tick();
    for (const { surface } of [this.chart, this.depth]) surface.mark(this.app.header.mark());
    this.figures.draw(this.topic("ticker"), this.app.feed, now, this.series.last?.time);
    if (this.visible.has("chart")) this.drawChart(now);
    if (this.visible.has("book")) this.drawBook(now);
    if (this.visible.has("depth")) this.drawDepth(now);
    if (this.visible.has("trades")) this.drawTrades(now);
  }

  // A quiet candle stream proves nothing while the ticker of the same market says that the last price is old.
  chartTopic() {
    const candle = this.topic("candle");
    const ticker = this.topic("ticker");
    const { fields = [] } = ticker.status;
    const old = !trusted(ticker, this.app.feed) && (fields.length === 0 || fields.includes("last"));
    return candle.status.state === "quiet" && old ? ticker : candle;
  }

  drawChart(now) {
    const { feed } = this.app;
    const folded = this.topic("candle").error && this.topic("trade");
    const topic = folded || this.chartTopic();
    const age = topic.age(now);
    const since = age === undefined ? undefined : Math.round((feed.serverNow() - age) / 1000) * 1000;
    this.chart.setTrust(trusted(topic, feed), since, feed.state.phase === "open" ? stateWords({ ...topic.status, fields: [] }) : "no connection");
    this.panels.chart.draw(topic, feed, now, folded ? "live bar from trades, volume from REST" : "");
    this.chart.draw(now);
  }

  drawBook(now) {
    const { feed } = this.app;
    const topic = this.book();
    this.panels.book.draw(topic, feed, now, topic.status.state === "resyncing" ? "rebuilding" : "");
    this.ladder.draw(topic, trusted(topic, feed), now);
  }

  drawDepth(now) {
    const { feed } = this.app;
    const topic = this.book();
    const key = `${topic.key} ${topic.version} ${feed.state.phase}`;
    this.panels.depth.draw(topic, feed, now);
    if (this.depthSeen !== key) this.depth.setBook(topic.value, trusted(topic, feed));
    this.depthSeen = key;
    this.depth.draw();
  }

  drawTrades(now) {
    const { feed } = this.app;
    const topic = this.topic("trade");
    this.panels.trades.draw(topic, feed, now);
    this.tape.draw(topic, trusted(topic, feed), feed.serverNow());
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
  key({ key }) {
    if (!this.instrument) return false;
    const actions = {
      j: () => this.step(1), k: () => this.step(-1), f: () => this.favourite(), r: () => this.read(),
      b: () => this.change({ grp: String(this.ladder.nextGroup) }),
    };
    const act = actions[key] ?? (COMMON["1234567".indexOf(key)] && (() => this.change({ tf: COMMON[key - 1] })));
    act?.();
    return Boolean(act);
  }

  // What a screen reader says on request; prices are never announced by themselves.
  read() {
    const topic = this.topic("ticker");
    const why = doubt(topic, this.app.feed, performance.now());
    const last = price(topic.value?.last, this.market.decimals);
    this.app.announce(`${this.market.name}: last ${last}; ${this.ladder.words(this.book()?.value)}${why ? `; not to be trusted: ${why}` : ""}`);
  }

  /** The last price and the name, for the window's title. */
  title() {
    if (!this.instrument) return undefined;
    const topic = this.topic("ticker");
    const { symbol, decimals } = this.market;
    return topic.value ? `${trusted(topic, this.app.feed) ? "" : "! "}${price(topic.value.last, decimals)} ${symbol}` : symbol;
  }
}
