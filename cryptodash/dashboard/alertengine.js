// Watches the armed alerts on every view, in a hidden tab as well. What cannot be trusted fires nothing but the alert on just that.

import { AlertNotices } from "./alertnotices.js";
import { bps, date, price, time, zoneName } from "./format.js";
import { KINDS, fires, isAcross, isSplit, mid, sideOf, watched } from "./rules.js";
import { freshness, trusted } from "./topics.js";

const MAX_RATE = 10;

/** The market of an alert in words: "binance spot BTC-USDT". */
export const marketOf = ({ exchange, market, symbol }) => `${exchange} ${market} ${symbol}`;

/** A level or a reading with its unit. */
export function amountText({ kind }, value, instrument) {
  const { unit } = KINDS[kind];
  if (unit === "price") return price(value, instrument?.price_precision);
  return unit === "s" ? `${price(value, 1)} s` : `${bps(value)} bp`;
}

/** How long nothing has confirmed a value, in ms by the page's own clock. A quiet market is proven: 0. `since`: when it was first asked for. */
export function unconfirmedMs(topic, feed, now, since) {
  const isGood = trusted(topic, feed);
  if (isGood && topic.status.state === "quiet") return 0;
  const age = topic.age(now) ?? now - since;
  return isGood ? age : Math.max(age, now - since);
}

export class AlertEngine {
  constructor(app) {
    this.app = app;
    this.watches = new Map();
    this.notices = new AlertNotices(app);
  }

  get all() {
    return this.app.settings.get("alerts");
  }

  get firedCount() {
    return this.all.reduce((count, { state }) => count + (state === "fired" ? 1 : 0), 0);
  }

  start() {
    this.app.settings.on((name) => name === "alerts" && this.arrange());
    this.app.feed.onTick(() => this.lookAtAll());
    this.arrange();
  }

  /** Opens a form to arm an alert on an instrument of the catalogue, at a price if one is given. */
  async arm(instrument, level) {
    const { AlertDialog } = await import("./alertform.js");
    this.dialog ??= new AlertDialog(this.app);
    this.dialog.open(instrument, level);
  }

  // Which venues have a symbol is known only with the catalogue, so that a new one begins comparisons anew.
  arrange() {
    const { version } = this.app.catalogue;
    const isNew = this.catalogued !== version;
    this.catalogued = version;
    const armed = new Map(this.all.filter(({ state }) => state === "armed").map((alert) => [alert.id, alert]));
    for (const [id, watch] of this.watches) {
      if (armed.has(id) && !(isNew && isAcross(watch.alert))) watch.alert = armed.get(id);
      else this.end(id, watch);
    }
    for (const [id, alert] of armed) if (!this.watches.has(id)) this.begin(id, alert);
  }

  begin(id, alert) {
    const { exchange, market: market_type, symbol } = alert;
    const watch = { alert, goodAt: performance.now(), before: new Map() };
    this.watches.set(id, watch);
    const channel = { market_type, symbol, max_rate: MAX_RATE };
    if (!isAcross(alert)) watch.topic = this.app.feed.open({ ...channel, channel_type: "ticker", exchange });
    else if (this.app.catalogue.venuesOf(market_type, symbol).length > 1) {
      watch.topic = this.app.feed.open({ ...channel, channel_type: "bbo", exchange: "composite" });
    }
    watch.unlisten = watch.topic?.listen((type) => (type === "ticker" || type === "bbo") && this.look(id, watch));
  }

  end(id, watch) {
    this.watches.delete(id);
    watch.unlisten?.();
    this.app.feed.close(watch.topic, MAX_RATE);
  }

  lookAtAll() {
    if (this.catalogued !== this.app.catalogue.version) this.arrange();
    for (const [id, watch] of this.watches) this.look(id, watch);
  }

  /** The quotes that an alert is judged by: of its own market, or of all venues that the server compares. */
  quotes({ alert, topic }) {
    const good = Boolean(topic) && trusted(topic, this.app.feed);
    if (!isAcross(alert)) return [{ exchange: alert.exchange, ticker: topic.value, good }];
    return Object.entries(topic?.value?.venues ?? {}).map(([exchange, ticker]) => ({ exchange, ticker, good }));
  }

  /** What the alert watches now; undefined when it cannot be trusted. */
  reading(watch) {
    const { alert, topic } = watch;
    const now = performance.now();
    if (topic && trusted(topic, this.app.feed)) watch.goodAt = now;
    return watched(alert, this.quotes(watch), alert.kind === "stale" ? unconfirmedMs(topic, this.app.feed, now, watch.goodAt) : 0);
  }

  /** Which venues are left out of a comparison, and why, in words; "" where none is. */
  leftOut({ alert, topic }) {
    const excluded = (isAcross(alert) && topic?.value?.excluded) || [];
    const said = excluded.map(({ exchange, state, cause }) => `${exchange} ${state}${cause ? `: ${cause}` : ""}`);
    return said.length ? `left out ${said.join("; ")}` : "";
  }

  look(id, watch) {
    const split = this.split(watch);
    const reading = this.reading(watch);
    const { alert } = watch;
    if (this.watches.get(id) !== watch) return;
    if (split && alert.kind !== "stale") this.disarm(watch, split);
    else if (alert.kind === "crosses" && alert.from === undefined) this.takeSide(alert, reading);
    else if (fires(alert, reading)) this.fire(watch, reading);
  }

  // Where the price was when it was armed, or as soon after as it is known and not exactly on the level.
  takeSide({ id, level }, reading) {
    const from = reading === undefined ? undefined : sideOf(reading, level);
    if (from) this.change(id, { from });
  }

  instrument({ exchange, market, symbol }) {
    return this.app.catalogue.find(exchange, market, symbol);
  }

  /** What to say of a share whose price was counted anew since the last look; undefined where none was. */
  split(watch) {
    const { market, symbol } = watch.alert;
    let said;
    for (const { exchange, ticker, good } of this.quotes(watch)) {
      const value = isAcross(watch.alert) ? mid(ticker) : ticker?.last;
      if (!value || !good) continue;
      const before = watch.before.get(exchange);
      watch.before.set(exchange, value);
      const instrument = this.instrument({ exchange, market, symbol });
      if (!isSplit(instrument?.underlying_type, before, value)) continue;
      const shown = [before, value].map((each) => price(each, instrument.price_precision));
      said = `${exchange}: ${shown[0]} became ${shown[1]} at once, as by a split or a dividend`;
    }
    return said;
  }

  /** A level of before a split means nothing after it. Who is away must hear of it: it may have been a fall after all. */
  disarm({ alert }, why) {
    this.change(alert.id, { state: "off", firedAt: this.app.feed.serverNow(), why: `not fired, switched off: ${why}` });
    this.notices.tell(`Alert switched off: ${marketOf(alert)}: ${why}`, false);
  }

  fire(watch, reading) {
    const { alert, topic } = watch;
    const { feed, settings } = this.app;
    const firedAt = feed.serverNow();
    const why = this.circumstances(watch, reading);
    this.change(alert.id, { state: "fired", firedAt, reading, why });
    const when = `${time(firedAt, settings.zone)} ${zoneName(settings.zone)}`;
    this.notices.tell(`Alert: ${this.conditionText(alert)}: ${why}, ${when}${topic.status.source === "simulated" ? " (demo data)" : ""}`, true);
  }

  // The figure that it fired on, and of which venue that was.
  circumstances(watch, reading) {
    const { alert, topic } = watch;
    const instrument = this.instrument(alert);
    const figure = amountText(alert, reading, instrument);
    if (alert.kind === "stale") return `${figure} (${freshness(topic, this.app.feed).text})`;
    if (!isAcross(alert)) return `${figure} on ${alert.exchange}`;
    const shown = (value) => price(value, instrument?.price_precision);
    const sides = this.quotes(watch).map(({ exchange, ticker }) => `${exchange} ${shown(ticker.bid)} / ${shown(ticker.ask)}`);
    return [`${figure}: ${sides.join(", ")}`, this.leftOut(watch)].filter(Boolean).join("; ");
  }

  /** "binance spot BTC-USDT: last price at or above 60,000.00" */
  conditionText(alert) {
    return `${marketOf(alert)}: ${KINDS[alert.kind].text} ${amountText(alert, alert.level, this.instrument(alert))}`;
  }

  /** When an alert fired and on what. */
  firedText({ firedAt, why }) {
    const { zone } = this.app.settings;
    return `${date(firedAt, zone)} ${time(firedAt, zone)} ${zoneName(zone)}: ${why}`;
  }

  /** Arm a new alert: {kind, level, exchange, market, symbol, from}. */
  add(alert) {
    this.app.settings.set("alerts", [...this.all, { ...alert, id: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, state: "armed" }]);
    this.app.announce(`alert armed: ${this.conditionText(alert)}`);
  }

  /** Arm it again, or switch it off. */
  toggle({ id, state }) {
    this.change(id, state === "armed" ? { state: "off" } : { state: "armed", from: undefined });
  }

  change(id, changes) {
    this.app.settings.set("alerts", this.all.map((each) => (each.id === id ? { ...each, ...changes } : each)));
  }

  remove(id) {
    this.app.settings.set("alerts", this.all.filter((each) => each.id !== id));
  }
}
