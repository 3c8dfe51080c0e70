// Alerts: watched on every view, from tickers of their own. What cannot be trusted fires nothing but the alert on just that.

import { Rows, button, cells, el, select, setAttr, setClass, setText, show, table } from "./dom.js";
import { DASH, bps, date, price, time } from "./format.js";
import { marketHash } from "./route.js";
import { KINDS, fires, isSplit, watched } from "./rules.js";
import { freshness, trusted } from "./topics.js";

const MAX_RATE = 4;
const LOOK_MS = 1000;
const OFFERED = 20;

const levelText = ({ kind, level }, decimals) => (KINDS[kind].unit === "price" ? price(level, decimals) : `${price(level)} ${KINDS[kind].unit}`);
const marketOf = ({ exchange, market, symbol }) => `${exchange} ${market} ${symbol}`;

/** Keeps the tickers of armed alerts open, looks at each of them, and tells when one fires. */
export class AlertEngine {
  constructor(app) {
    this.app = app;
    this.watches = new Map();
  }

  get all() {
    return this.app.settings.get("alerts");
  }

  get firedCount() {
    return this.all.reduce((count, { state }) => count + (state === "fired" ? 1 : 0), 0);
  }

  start() {
    this.app.settings.on((name) => name === "alerts" && this.arrange());
    setInterval(() => this.lookAtAll(), LOOK_MS);
    this.arrange();
  }

  // One alert, its topics and since when its own market has not been trusted.
  arrange() {
    const armed = new Map(this.all.filter(({ state }) => state === "armed").map((alert) => [alert.id, alert]));
    for (const [id, watch] of this.watches) if (!armed.has(id)) this.end(id, watch);
    for (const [id, alert] of armed) if (!this.watches.has(id)) this.begin(id, alert);
    this.catalogued = this.app.catalogue.version;
  }

  begin(id, alert) {
    const { feed, catalogue } = this.app;
    const { exchange, market, symbol } = alert;
    const others = alert.kind === "cross" ? catalogue.venuesOf(market, symbol).filter((venue) => venue !== exchange) : [];
    const watch = { alert, badSince: performance.now(), topics: [] };
    watch.topics = [exchange, ...others].map((venue) => {
      const topic = feed.open({ channel_type: "ticker", exchange: venue, market_type: market, symbol, max_rate: MAX_RATE });
      return { topic, exchange: venue, last: undefined, end: topic.listen((type) => type === "ticker" && this.look(id, watch)) };
    });
    this.watches.set(id, watch);
  }

  end(id, watch) {
    this.watches.delete(id);
    for (const { topic, end } of watch.topics) {
      end();
      this.app.feed.close(topic, MAX_RATE);
    }
  }

  // Which venues have a symbol is known only with the catalogue.
  lookAtAll() {
    if (this.catalogued !== this.app.catalogue.version) {
      for (const [id, watch] of this.watches) if (watch.alert.kind === "cross") this.end(id, watch);
      this.arrange();
    }
    for (const [id, watch] of this.watches) this.look(id, watch);
  }

  /** What the alert watches now; undefined when it cannot be trusted. */
  reading(watch) {
    const { feed } = this.app;
    const quotes = watch.topics.map(({ topic, exchange }) => ({ exchange, ticker: topic.value, good: trusted(topic, feed) }));
    if (quotes[0].good) watch.badSince = performance.now();
    return watched(watch.alert, quotes, performance.now() - watch.badSince);
  }

  look(id, watch) {
    const split = this.split(watch);
    const reading = this.reading(watch);
    if (this.watches.get(id) !== watch) return;
    if (split && watch.alert.kind !== "stale") this.disarm(watch, split);
    else if (fires(watch.alert, reading)) this.fire(watch, reading);
  }

  /** What to say of a share whose price was counted anew since the last look; undefined where none was. */
  split({ alert, topics }) {
    const { catalogue, feed } = this.app;
    let said;
    for (const each of topics) {
      const { exchange, topic, last: before } = each;
      if (!topic.value?.last || !trusted(topic, feed)) continue;
      each.last = topic.value.last;
      const instrument = catalogue.find(exchange, alert.market, alert.symbol);
      if (!isSplit(instrument?.underlying_type, before, each.last)) continue;
      const shown = [before, each.last].map((each) => price(each, instrument.price_precision));
      said = `${exchange}: ${shown[0]} became ${shown[1]} at once, as by a split or a dividend`;
    }
    return said;
  }

  /** A level of before a split means nothing after it. */
  disarm({ alert }, why) {
    const { app } = this;
    this.change(alert.id, { state: "off", firedAt: app.feed.serverNow(), why: ` (not fired, switched off: ${why})` });
    const text = `Alert switched off: ${marketOf(alert)}: ${why}`;
    app.announce(text, "urgent");
    app.banner(`alert ${alert.id}`, text, "Show", () => app.navigate({ view: "alerts" }));
    this.notify(text); // who is away must hear of it: it may have been a fall after all
  }

  fire({ alert, topics }, reading) {
    const { app } = this;
    const why = alert.kind === "stale" ? ` (${freshness(topics[0].topic, app.feed).text})` : "";
    this.change(alert.id, { state: "fired", firedAt: app.feed.serverNow(), reading, why });
    const text = `${marketOf(alert)}: ${KINDS[alert.kind].text} ${this.level(alert)}${why}`;
    app.announce(`Alert: ${text}`, "urgent");
    app.banner(`alert ${alert.id}`, `Alert: ${text}`, "Show", () => app.navigate({ view: "alerts" }));
    this.notify(text);
  }

  level(alert) {
    return levelText(alert, this.app.catalogue.find(alert.exchange, alert.market, alert.symbol)?.price_precision);
  }

  // Some browsers have the class and refuse to make one.
  notify(text) {
    if (!this.app.settings.get("notify") || typeof Notification === "undefined" || Notification.permission !== "granted") return;
    try {
      new Notification("cryptodash", { body: text, tag: text });
    } catch {
      this.app.settings.set("notify", false);
    }
  }

  add(alert) {
    this.app.settings.set("alerts", [...this.all, { ...alert, id: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, state: "armed" }]);
  }

  change(id, changes) {
    this.app.settings.set("alerts", this.all.map((each) => (each.id === id ? { ...each, ...changes } : each)));
  }

  remove(id) {
    this.app.settings.set("alerts", this.all.filter((each) => each.id !== id));
  }
}

export class AlertsView {
  constructor(app) {
    this.app = app;
    this.makeForm();
    this.makeNotify();
    const columns = ["Market", "Condition", ["Now", "number"], "State", "Fired", ""];
    const { element, body } = table("Alerts", columns, { class: "grid natural" });
    this.rows = new Rows(body, () => this.makeRow());
    this.none = el("p", { class: "empty" }, "No alerts yet.");
    this.list = el("div", { class: "scroll" }, element);
    const note = "Alerts work while this page is open, on any of its views. A value that cannot be trusted never fires a price, spread or "
      + "difference alert; arm the last kind to hear of that. Where a share's price jumps as by a split, its alerts are switched off and say so.";
    this.element = el("section", { class: "alerts", "aria-label": "Alerts" }, el("h1", { class: "unseen" }, "Alerts"),
      el("div", { class: "panel" }, el("h2", {}, "New alert"), this.form, el("p", { class: "muted" }, note)),
      el("div", { class: "panel" }, el("div", { class: "filters" }, el("h2", {}, "Alerts"), this.ask, this.askText), this.none, this.list));
  }

  makeForm() {
    this.kind = select("Condition", Object.entries(KINDS).map(([kind, { text }]) => [kind, text]), "above", () => this.drawForm());
    this.kind.id = "alert-kind";
    this.options = el("datalist", { id: "alert-markets" });
    this.market = el("input", {
      id: "alert-market", list: "alert-markets", required: true, autocomplete: "off", spellcheck: "false", size: 26, oninput: () => this.offer(),
    });
    this.level = el("input", { id: "alert-level", type: "number", min: "0", step: "any", required: true, inputmode: "decimal" });
    this.unit = el("span", { class: "muted" });
    this.problem = el("p", { class: "problem", role: "status" });
    const field = (text, control, ...more) => el("div", { class: "field" }, el("label", { for: control.id }, text), el("span", {}, control, ...more));
    this.form = el("form", { class: "alert-form", novalidate: true, onsubmit: (event) => this.submit(event) },
      field("Market", this.market, this.options), field("Condition", this.kind), field("Level", this.level, this.unit),
      el("button", { type: "submit", class: "primary" }, "Arm"), this.problem);
  }

  makeNotify() {
    this.ask = button("", () => this.askNotify());
    this.askText = el("span", { class: "muted", role: "status" });
  }

  makeRow() {
    const row = cells(["", "", "number", "state", "", "actions"]);
    row.link = el("a");
    row.cells[0].append(row.link);
    const { alerts } = this.app;
    row.arm = button("", () => alerts.change(row.alert.id, { state: row.alert.state === "armed" ? "off" : "armed" }), { class: "small" });
    row.remove = button("delete", () => alerts.remove(row.alert.id), { class: "small" });
    row.cells[5].append(row.arm, row.remove);
    return row;
  }

  show() {
    const market = this.app.last?.exchange ? this.app.last : this.app.first();
    if (!this.market.value && market) this.market.value = marketOf(market);
    this.drawForm();
    this.drawNotify();
  }

  hide() {}

  title() {
    return undefined;
  }

  key() {
    return false;
  }

  offer() {
    const found = this.app.catalogue.search(this.market.value).slice(0, OFFERED);
    this.options.replaceChildren(...found.map((each) => el("option", { value: marketOf({ ...each, market: each.market_type }) })));
    this.drawForm();
  }

  instrument() {
    const [exchange = "", market = "", symbol = ""] = this.market.value.trim().split(/\s+/);
    const { catalogue } = this.app;
    const place = [exchange.toLowerCase(), market.toLowerCase()];
    return catalogue.find(...place, catalogue.spelling(...place, symbol));
  }

  drawForm() {
    const { unit } = KINDS[this.kind.value];
    setText(this.unit, unit === "price" ? this.instrument()?.quote ?? "" : unit);
  }

  submit(event) {
    event.preventDefault();
    const instrument = this.instrument();
    const level = Number(this.level.value);
    const problem = !instrument ? "This market is not in the catalogue: choose one of the list, such as \u201cbinance spot BTC-USDT\u201d."
      : !(level > 0) ? "The level must be a number above 0." : "";
    setText(this.problem, problem);
    setAttr(this.market, "aria-invalid", !instrument || null);
    setAttr(this.level, "aria-invalid", !(level > 0) || null);
    if (problem) return (instrument ? this.level : this.market).focus();
    const { exchange, market_type: market, symbol } = instrument;
    this.app.alerts.add({ kind: this.kind.value, level, exchange, market, symbol });
    this.level.value = "";
    return this.app.announce("alert armed");
  }

  async askNotify() {
    if (this.app.settings.get("notify")) this.app.settings.set("notify", false);
    else if (typeof Notification !== "undefined") this.app.settings.set("notify", (await Notification.requestPermission()) === "granted");
    this.drawNotify();
  }

  drawNotify() {
    const supported = typeof Notification !== "undefined";
    const on = supported && this.app.settings.get("notify") && Notification.permission === "granted";
    show(this.ask, supported && Notification.permission !== "denied");
    setText(this.ask, on ? "Stop notifying me outside of this page" : "Notify me outside of this page too");
    setText(this.askText, !supported ? "This browser shows no notifications for this page (it may need https)."
      : Notification.permission === "denied" ? "Notifications are blocked for this page in the browser's settings." : "");
  }

  draw() {
    if (!this.market.value && document.activeElement !== this.market) this.show();
    const { all } = this.app.alerts;
    show(this.none, all.length === 0);
    show(this.list, all.length > 0);
    this.rows.fill([...all].reverse(), (row, alert) => this.drawRow(row, alert));
  }

  drawRow(row, alert) {
    const { alerts, catalogue, settings } = this.app;
    const { exchange, market, symbol } = alert;
    row.alert = alert;
    const [, condition, now, state, fired] = row.cells;
    setText(row.link, marketOf(alert));
    setAttr(row.link, "href", marketHash({ exchange, market_type: market, symbol }));
    setText(condition, `${KINDS[alert.kind].text} ${alerts.level(alert)}`);
    const watch = alerts.watches.get(alert.id);
    setText(now, watch ? this.nowText(alert, alerts.reading(watch), catalogue.find(exchange, market, symbol)) : DASH);
    setText(state, alert.state);
    setClass(state, `state ${{ armed: "good", fired: "bad", off: "waiting" }[alert.state]}`);
    setText(fired, alert.firedAt ? `${date(alert.firedAt, settings.zone)} ${time(alert.firedAt, settings.zone)}${alert.why}` : DASH);
    setText(row.arm, alert.state === "armed" ? "off" : "arm again");
    setAttr(row.arm, "aria-label", `${alert.state === "armed" ? "Switch off" : "Arm again"}: ${marketOf(alert)}`);
    setAttr(row.remove, "aria-label", `Delete: ${marketOf(alert)} ${KINDS[alert.kind].text}`);
  }

  nowText({ kind }, reading, instrument) {
    if (reading === undefined) return "not trusted";
    const { unit } = KINDS[kind];
    if (unit === "price") return price(reading, instrument?.price_precision);
    return unit === "s" ? `${Math.round(reading)} s` : `${bps(reading)} bp`;
  }
}
