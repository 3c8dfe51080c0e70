// The list of markets in the drawer: a search, favourites first, and of the rows in sight what their tickers say.

import { emptyState } from "./catalogue.js";
import { button, el, setText, show } from "./dom.js";
import { MarketWindow } from "./marketwindow.js";
import { idOf } from "./settings.js";
import { SparkStore, hourlyBars } from "./sparkline.js";

const NAMES = ["star", "market", "last", "change", "spark"];
const MAX_RATE = 2;
const MARGIN = 1;
const AGE_MS = 500;

/** The instruments that match a text, all for "": favourites first, else as the catalogue has them, of all of them spot before perpetual. */
export function listed(catalogue, text, isFavourite) {
  const isSpot = ({ market_type: market }) => market !== "perpetual";
  const found = text ? catalogue.search(text) : [...catalogue.all.filter(isSpot), ...catalogue.all.filter((each) => !isSpot(each))];
  return [...found.filter(isFavourite), ...found.filter((each) => !isFavourite(each))];
}

export class MarketList {
  /** `close()` is called by the button, `chosen()` when a market was chosen. */
  constructor(app, { close, chosen }) {
    Object.assign(this, { app, chosen });
    this.sparks = app.sparks ??= new SparkStore(hourlyBars);
    this.agedAt = -Infinity;
    this.query = el("input", { type: "search", name: "drawer-filter", "aria-label": "Filter the list", placeholder: "Filter", oninput: () => this.refilter() });
    this.message = el("p", { class: "empty", hidden: true });
    this.window = new MarketWindow(this, undefined, { maxRate: MAX_RATE, margin: MARGIN, isNarrow: true });
    this.window.element.addEventListener("click", (event) => this.clicked(event));
    const head = el("div", { class: "drawer-head", role: "search" }, this.query, button("\u00d7", close, { class: "plain", "aria-label": "Close the list" }));
    this.element = el("div", { class: "drawer-list", onkeydown: (event) => this.pressed(event) }, head, this.message, this.window.element);
    app.settings.on((name) => name === "favourites" && this.favoured());
  }

  chooseColumns() {
    this.columns = NAMES;
    this.window.setColumns(NAMES);
    this.window.drawHeads("", "", "");
  }

  /** Show it, with the market of this route marked. */
  show({ exchange, market, symbol }) {
    this.present = `${exchange}/${market}/${symbol}`;
    if (!this.shown) {
      this.shown = true;
      this.window.show();
      this.refilter();
      this.window.restore();
    }
    for (const row of this.window.rows.values()) row.mark();
  }

  hide() {
    if (!this.shown) return;
    this.shown = false;
    this.window.hide();
    this.sparks.want([], 0);
  }

  refilter() {
    const { catalogue, settings } = this.app;
    const text = this.query.value.trim();
    this.catalogued = catalogue.version;
    this.isMoved = false;
    this.window.setItems(listed(catalogue, text, (each) => settings.isFavourite(each)), true);
    const none = !this.window.items.length;
    show(this.message, none);
    show(this.window.element, !none);
    if (none) setText(this.message, catalogue.all.length ? `No market matches "${text}".` : emptyState(this.app));
  }

  // The stars at once, the order when no hand is on the rows.
  favoured() {
    for (const row of this.window.rows.values()) row.favour();
    this.isMoved = true;
  }

  draw(now) {
    const isHeld = this.window.pointed || Boolean(this.window.focused);
    if (this.catalogued !== this.app.catalogue.version || (this.isMoved && !isHeld)) this.refilter();
    const ages = now - this.agedAt >= AGE_MS;
    if (ages) {
      this.agedAt = now;
      this.window.wantSparks(now);
    }
    this.window.draw(now, ages);
  }

  /** To the row of the present market, else to the first. */
  focus() {
    const { items } = this.window;
    if (!items.length) this.query.focus();
    this.window.focus(items.findIndex((each) => idOf(each) === this.present));
  }

  /** Favourite on or off, of the row with the focus; false without one. */
  favourite() {
    const row = this.window.focused;
    if (row) this.app.settings.toggleFavourite(row.item);
    return Boolean(row);
  }

  // A new tab is the browser's own affair.
  clicked(event) {
    const { target, ctrlKey, metaKey, shiftKey } = event;
    const row = [...this.window.rows.values()].find(({ element }) => element.contains(target));
    if (!row || target.closest("button") || ctrlKey || metaKey || shiftKey) return;
    event.preventDefault();
    this.open(row.item);
  }

  /** Go to a market, with the parameters of the present one. */
  open({ exchange, market_type: market, symbol }) {
    this.app.navigate({ view: "market", exchange, market, symbol, params: this.app.route.params });
    this.chosen();
  }

  pressed(event) {
    const { focused, items } = this.window;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const isTyping = event.target === this.query;
    if (step && focused?.index === 0 && step < 0) this.query.focus();
    else if (step && focused) this.window.focus(focused.index + step);
    else if (step > 0 && isTyping) this.window.focus(0);
    else if (event.key === "Enter" && isTyping && items.length) this.open(items[0]);
    else return;
    event.preventDefault();
  }
}
