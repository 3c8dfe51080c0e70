// The form that arms an alert: it says which market was meant, and what it is at, before anything is armed.

import { button, el, select, setAttr, setClass, setText } from "./dom.js";
import { age, price } from "./format.js";
import { KINDS, fires, sideOf } from "./rules.js";
import { freshness } from "./topics.js";

const MAX_RATE = 4;
const OFFERED = 20;

export class AlertForm {
  /** `name` begins the ids of its fields; `armed()` is called after one was armed. */
  constructor(app, name, armed) {
    this.app = app;
    this.armed = armed;
    this.kind = select("Condition", Object.entries(KINDS).map(([kind, { text }]) => [kind, text]), "above", () => this.suggest());
    this.kind.id = `${name}-kind`;
    this.options = el("datalist", { id: `${name}-markets` });
    this.market = el("input", {
      id: `${name}-market`, list: this.options.id, required: true, autocomplete: "off", spellcheck: "false", size: 26, oninput: () => this.offer(),
    });
    this.level = el("input", { id: `${name}-level`, type: "number", min: "0", step: "any", required: true, inputmode: "decimal" });
    this.unit = el("span", { class: "muted" });
    this.resolved = el("p", { class: "resolved" });
    this.problem = el("p", { class: "problem", role: "status" });
    const field = (text, control, ...more) => el("div", { class: "field" }, el("label", { for: control.id }, text), el("span", {}, control, ...more));
    this.element = el("form", { class: "alert-form", novalidate: true, onsubmit: (event) => this.submit(event) },
      field("Market", this.market, this.options), field("Condition", this.kind), field("Level", this.level, this.unit),
      el("button", { type: "submit", class: "primary" }, "Arm"), this.resolved, this.problem);
  }

  /** Fill it in: an instrument of the catalogue; `kind` and `level` if given. */
  fill({ exchange, market_type: market, symbol }, kind, level) {
    this.market.value = `${exchange} ${market} ${symbol}`;
    if (kind) this.kind.value = kind;
    if (level !== undefined) this.level.value = level;
    setText(this.problem, "");
  }

  offer() {
    const found = this.app.catalogue.search(this.market.value).slice(0, OFFERED);
    this.options.replaceChildren(...found.map(({ exchange, market_type: market, symbol }) => el("option", { value: `${exchange} ${market} ${symbol}` })));
  }

  suggest() {
    if (this.kind.value === "crossed" && !this.level.value) this.level.value = "0";
  }

  /** The instrument that is meant, or undefined. */
  get instrument() {
    const [exchange = "", market = "", symbol = ""] = this.market.value.trim().split(/\s+/);
    const { catalogue } = this.app;
    const place = [exchange.toLowerCase(), market.toLowerCase()];
    return catalogue.find(...place, catalogue.spelling(...place, symbol));
  }

  // The ticker of what is meant is held while the form is seen.
  follow(instrument) {
    if (instrument === this.followed) return;
    this.release();
    this.followed = instrument;
    if (!instrument) return;
    const { exchange, market_type: market, symbol } = instrument;
    this.topic = this.app.feed.open({ channel_type: "ticker", exchange, market_type: market, symbol, max_rate: MAX_RATE });
  }

  release() {
    if (this.followed) this.app.feed.close(this.topic, MAX_RATE);
    this.followed = undefined;
  }

  draw(now) {
    const { instrument } = this;
    this.follow(instrument);
    const { unit } = KINDS[this.kind.value];
    setText(this.unit, unit === "price" ? instrument?.quote ?? "" : unit);
    setText(this.resolved, instrument ? this.words(instrument, now) : this.market.value ? "This market is not in the catalogue." : "");
    setClass(this.resolved, instrument && !freshness(this.topic, this.app.feed).good ? "resolved state bad" : "resolved");
  }

  words({ exchange, market_type: market, symbol, native, quote, price_precision: decimals }, now) {
    const { topic } = this;
    const last = topic.value?.last;
    const kind = this.kind.value;
    const level = this.level.value === "" ? NaN : Number(this.level.value);
    const side = last === undefined ? undefined : sideOf(last, level);
    const isMet = (kind === "above" || kind === "below") && fires({ kind, level }, last);
    return [`${exchange} ${market} ${symbol} (${native} there)`, `last ${price(last, decimals)} ${quote}`,
      `${freshness(topic, this.app.feed).text} ${age(topic.age(now))}`,
      isMet && "met already: it fires at once", kind === "crosses" && side && `from ${side}`].filter(Boolean).join(" \u00b7 ");
  }

  submit(event) {
    event.preventDefault();
    const { instrument } = this;
    const kind = this.kind.value;
    const level = Number(this.level.value);
    const isLevel = this.level.value !== "" && (level > 0 || (kind === "crossed" && level === 0));
    const problem = !instrument ? "This market is not in the catalogue: choose one of the list, such as \u201cbinance spot BTC-USDT\u201d."
      : !isLevel ? "The level must be a number above 0." : "";
    setText(this.problem, problem);
    setAttr(this.market, "aria-invalid", !instrument || null);
    setAttr(this.level, "aria-invalid", !isLevel || null);
    if (problem) return (instrument ? this.level : this.market).focus();
    const { exchange, market_type: market, symbol } = instrument;
    this.app.alerts.add({ kind, level, exchange, market, symbol });
    this.level.value = "";
    return this.armed();
  }
}

/** The same form above any view, filled in from where somebody pointed at a price. */
export class AlertDialog {
  constructor(app) {
    this.app = app;
    this.form = new AlertForm(app, "arm", () => this.element.close());
    this.element = el("dialog", { class: "arm", "aria-labelledby": "arm-title", onclose: () => this.closed() },
      el("h2", { id: "arm-title" }, "New alert"), this.form.element, button("Cancel", () => this.element.close()));
    this.drawing = (now) => this.form.draw(now);
    document.body.append(this.element);
  }

  open(instrument, level) {
    this.form.fill(instrument, "crosses", level === undefined ? "" : level.toFixed(instrument.price_precision));
    this.app.scheduler.add(this.drawing, true);
    this.form.draw(performance.now());
    if (!this.element.open) this.element.showModal();
    this.form.level.focus();
    this.form.level.select();
  }

  closed() {
    this.app.scheduler.remove(this.drawing);
    this.form.release();
  }
}
