// One row of the table of markets, bound to one instrument at a time.

import { button, el, setAttr, setClass, setText, show } from "./dom.js";
import { DASH, age, compact, price } from "./format.js";
import { COLUMNS, classOf, turnover, withUnit } from "./columns.js";
import { CLOCK } from "./panel.js";
import { marketHash } from "./route.js";
import { idOf } from "./settings.js";
import { Sparkline } from "./sparkline.js";
import { freshness, tradingStatus } from "./topics.js";

/** A longer state is cut, and whole in its title. */
const STATE_CHARS = 28;
const WAITING = { good: false, text: "", kind: "waiting" };

export class Row {
  /** `view` has `app`, `columns` (names), `rates`, `sparks`, a `window` whose columns `widen(name, chars)`, and may have the id of a market `present`. */
  constructor(view) {
    this.view = view;
    this.star = button("", () => view.app.settings.toggleFavourite(this.item), { class: "starbutton" });
    this.link = el("a");
    this.tag = el("span", { class: "tag" });
    this.where = el("span", { class: "tag where" });
    this.lastText = el("span");
    this.arrow = el("span", { class: "arrow", "aria-hidden": "true" });
    this.state = el("span", { class: "lines" });
    this.cells = Object.fromEntries(view.columns.map((name) => [name, el("td", { class: classOf(name) })]));
    this.put("star", this.star);
    this.put("market", this.link, this.tag, this.where);
    this.put("last", this.lastText, " ", this.arrow);
    this.put("state", this.state);
    if (!this.cells.state) {
      this.sign = el("span", { class: "sign", role: "img", hidden: true }, CLOCK);
      this.put("last", this.sign);
    }
    if (this.cells.spark) {
      this.spark = new Sparkline();
      this.put("spark", this.spark.element, this.spark.none);
    }
    this.texts = view.columns.filter((name) => COLUMNS[name].write && name !== "last");
    this.element = el("tr", {}, ...Object.values(this.cells));
  }

  put(name, ...content) {
    this.cells[name]?.append(...content);
  }

  bind(item, index) {
    this.index = index;
    setAttr(this.element, "aria-rowindex", index + 2);
    if (this.item === item) return;
    this.item = item;
    this.id = idOf(item);
    this.topic = undefined;
    this.drawn = undefined;
    this.shown = undefined;
    setText(this.link, item.symbol);
    setAttr(this.link, "title", this.sign ? item.symbol : null); // which is cut where there is no room
    setAttr(this.link, "href", marketHash(item));
    this.drawTag();
    if (this.cells.ex) setText(this.cells.ex, item.exchange);
    setText(this.where, this.cells.ex ? "" : item.exchange);
    setText(this.arrow, "\u00a0");
    this.mark();
    this.favour();
    this.write({}, WAITING);
    this.writeVolume({}, 0);
    this.spark?.draw(undefined);
  }

  drawTag() {
    const { item } = this;
    const status = tradingStatus(item, this.topic);
    setText(this.tag, [item.market_type === "perpetual" && "perp", status !== "trading" && status].filter(Boolean).join(" "));
    this.view.window.widen("market", Math.ceil(1.1 * (item.symbol.length + this.tag.shownText.length)), true);
  }

  /** The market that is looked at is marked. */
  mark() {
    setAttr(this.link, "aria-current", this.id === this.view.present ? "page" : null);
  }

  favour() {
    const on = this.view.app.settings.isFavourite(this.item);
    setText(this.star, on ? "\u2605" : "\u2606");
    setAttr(this.star, "aria-pressed", String(on));
    setAttr(this.star, "aria-label", `${this.item.symbol} ${this.item.exchange} favourite`);
  }

  draw(now, ages) {
    const { topic } = this;
    if (!topic || (this.drawn === topic.version && !ages)) return;
    const fresh = freshness(topic, this.view.app.feed);
    if (this.drawn !== topic.version) {
      this.write(topic.value ?? {}, fresh);
      this.drawTag();
      this.turn(topic.value?.last, fresh.good);
    }
    this.drawn = topic.version;
    this.writeVolume(topic.value ?? {}, now);
    this.writeState(fresh, topic.age(now));
    this.writeSpark();
  }

  /** The ticker of a sweep, on paper only: whether it is fresh nobody has asked, so its age is all that is said. */
  drawSwept(ticker) {
    this.write(ticker ?? {}, WAITING);
    this.writeVolume(ticker ?? {}, performance.now());
    if (ticker) setText(this.state, `as of ${age(this.view.app.feed.serverNow() - Date.parse(ticker.received))} ago`);
  }

  write(ticker, fresh) {
    const { cells, item } = this;
    for (const name of this.texts) this.set(cells[name], name, COLUMNS[name].write(ticker, item));
    if (cells.last) this.writeLast(price(ticker.last, item.price_precision));
    const { change_pct_24h: change } = ticker;
    if (cells.change) setClass(cells.change, `number ${change > 0 ? "up" : change < 0 ? "down" : ""}`);
    setClass(this.element, fresh.good ? "" : "untrusted");
    if (!fresh.good && cells.last) setClass(cells.last, "number");
    this.writeState(fresh);
  }

  // The arrow stands beside the price, on narrow screens below it.
  writeLast(text) {
    const { window } = this.view;
    if (setText(this.lastText, text)) window.widen("last", text.length + (window.isNarrow ? 0 : 2));
  }

  set(cell, name, text) {
    if (setText(cell, text)) this.view.window.widen(name, text.length);
  }

  writeState(fresh, old) {
    const { state } = this.cells;
    if (!state) return void this.writeSign(fresh, old);
    setClass(state, `state ${fresh.kind}`);
    setAttr(state, "title", fresh.text);
    const text = `${fresh.kind === "bad" ? `${CLOCK} ` : ""}${fresh.text}${old === undefined ? "" : ` ${age(old).replace(" ", "\u00a0")}`}`;
    if (setText(this.state, text)) this.view.window.widen("state", Math.min(STATE_CHARS, text.length + 3), true);
  }

  // Where no column says the state, a sign beside the price does.
  writeSign({ kind, text }, old) {
    const isDoubtful = kind === "bad";
    const words = isDoubtful ? `not to be trusted: ${text}${old === undefined ? "" : `, ${age(old)}`}` : null;
    show(this.sign, isDoubtful);
    for (const name of ["title", "aria-label"]) setAttr(this.sign, name, words);
  }

  // "\u2248" marks what was converted; where no rate is known the amount keeps its own currency.
  writeVolume(ticker, now) {
    const { volume } = this.cells;
    if (!volume) return;
    const { rates } = this.view;
    const { quote, base } = this.item;
    const amount = turnover(ticker);
    const isKnown = Number.isFinite(amount);
    const rate = isKnown ? rates.rate(quote, now) : undefined;
    const isTold = ticker.quote_volume_24h !== undefined;
    const mark = isTold && (rate?.own || !rate) ? "" : "\u2248 ";
    const text = !isKnown ? DASH : mark + (rate ? compact(amount * rate.value) : withUnit(amount, quote));
    this.set(volume, "volume", rate && !rate.good ? `${text} ${CLOCK}` : text);
    setClass(volume, !isKnown || rate?.good ? "number" : "number unsure");
    const traded = `${price(ticker.volume_24h)} ${base}`;
    const whole = isTold ? `${price(amount)} ${quote}, ${traded}`
      : `${traded} \u00d7 last ${price(ticker.last)} ${quote} (the exchange tells no volume in ${quote})`;
    const how = !rate ? `: no live rate to ${rates.currency}` : rate.own ? "" : ` ${rates.words(rate, now)}`;
    setAttr(volume, "title", isKnown ? whole + how : null);
  }

  writeSpark() {
    if (!this.spark) return;
    const found = this.view.sparks.get(this.id);
    this.spark.draw(found, this.item.price_precision);
    setAttr(this.cells.spark, "title", this.spark.words ?? null);
  }

  // An arrow that stays and a flash that does not; two names of one animation, so that it begins anew.
  turn(last, good) {
    const before = this.shown;
    this.shown = last;
    if (last === undefined || before === undefined || last === before || !this.cells.last) return;
    const way = last > before ? "up" : "down";
    setText(this.arrow, way === "up" ? "\u25b4" : "\u25be");
    this.flip = !this.flip;
    if (good) setClass(this.cells.last, `number flash ${way} ${this.flip ? "one" : "two"}`);
  }
}
