// The table of markets: filters over the whole catalogue, an order that keeps still, a window of rows.

import { emptyState } from "./catalogue.js";
import { COLUMNS, ColumnMenu, columnsFor } from "./columns.js";
import { Rates } from "./conversion.js";
import { Toggles, button, el, fillSelect, select, setAttr, setClass, setText, show, worded } from "./dom.js";
import { MarketWindow } from "./marketwindow.js";
import { Refusal } from "./refusal.js";
import { defaults } from "./route.js";
import { idOf } from "./settings.js";
import { SparkStore, hourlyBars } from "./sparkline.js";
import { Sweeps } from "./sweeps.js";

/** Times a second that a sweep tells a value: of a day's figures seldom once they are known, they do not turn an order round in a moment. */
const SWEEP_RATE = 0.5;
const DAY_RATE = 0.1;
const KNOWN_MS = 10000;
const OF_A_DAY = ["volume", "high", "low", "funding", "interest"];
/** The least time between two orders; until the values are there, for a moment after the question, it is shorter. */
const SORT_MS = 5000;
const FIRST_SORT_MS = 400;
const ASKED_MS = 3000;
/** Until then no row is seen before most have the value that orders them: they would change their places. */
const PENDING_MS = 2000;
const MOST = 0.9;
const AGE_MS = 500;
const KINDS = ["spot", "perpetual", "all"];

const by = (name, a, b) => (a[name] < b[name] ? -1 : a[name] > b[name] ? 1 : 0);
const byName = (a, b) => by("symbol", a, b) || by("exchange", a, b) || by("market_type", a, b);

/** The instruments that pass the filters of the URL. */
export function filtered(catalogue, { q, m, quote, ex, fav }, isFavourite) {
  const venues = ex ? ex.split(",") : [];
  return (q ? catalogue.search(q) : catalogue.all).filter((each) => (m === "all" || each.market_type === m) && (!quote || each.quote === quote)
    && (!venues.length || venues.includes(each.exchange)) && (!fav || isFavourite(each)));
}

/** Sorted by name, or by a value; what has no value is last either way. */
export function sorted(items, sort, valueOf) {
  const name = sort.replace(/^-/, "");
  const way = sort.startsWith("-") ? -1 : 1;
  if (name === "market") return [...items].sort((a, b) => way * byName(a, b));
  if (name === "ex") return [...items].sort((a, b) => way * by("exchange", a, b) || byName(a, b));
  const valued = items.map((each) => [valueOf(each, name), each]);
  const last = way * Infinity;
  return valued.sort(([a = last, one], [b = last, other]) => (a === b ? byName(one, other) : way * (a < b ? -1 : 1))).map(([, each]) => each);
}

export class MarketsView {
  constructor(app) {
    this.app = app;
    this.chosen = [];
    this.rates = new Rates(app);
    this.sweeps = new Sweeps(app.feed);
    this.sparks = app.sparks ??= new SparkStore(hourlyBars);
    this.agedAt = -Infinity;
    this.refusal = new Refusal("lines of 24 hours", () => this.sparks.ask());
    this.makeFilters();
    this.window = new MarketWindow(this, (name) => this.sortBy(name));
    this.message = el("div", { class: "empty", hidden: true });
    this.element = el("section", { class: "markets", "aria-label": "Markets" },
      el("h1", { class: "unseen" }, "Markets"), this.filters, this.refusal.element, this.message, this.window.element);
    this.chooseColumns();
    app.settings.on((name) => (name === "favourites" && this.favoured()) || (name === "columns" && this.chooseColumns()));
  }

  makeFilters() {
    const set = (changes) => {
      this.app.replaceParams(changes);
      this.refilter();
    };
    this.query = el("input", {
      type: "search", name: "filter", "aria-label": "Filter by name", placeholder: "Filter", oninput: () => set({ q: this.query.value.trim() }),
    });
    this.kinds = KINDS.map((m) => button(m === "perpetual" ? "perp" : m, () => set({ m })));
    this.quote = select("Quote currency", [["", "all quotes"]], "", (quote) => set({ quote }));
    this.venues = new Toggles("Exchanges", (names) => set({ ex: names.join() }));
    this.fav = button("\u2605 favourites", () => set({ fav: this.params.fav ? "" : "1" }));
    this.menu = new ColumnMenu((names) => this.app.settings.set("columns", names));
    this.count = el("span", { class: "muted", role: "status" });
    this.order = el("span", { class: "order" });
    this.filters = el("div", { class: "filters", role: "search", "aria-label": "Filters" }, this.query,
      el("span", { class: "segments", role: "group", "aria-label": "Market type" }, ...this.kinds),
      this.quote, this.venues.element, this.fav, this.menu.element, this.order, this.count);
  }

  get params() {
    return this.app.route.params;
  }

  /** The names of the columns: chosen by the user, or as many as fit. */
  chooseColumns() {
    const chosen = this.app.settings.get("columns");
    this.columns = columnsFor(chosen, this.window.element.clientWidth || innerWidth);
    this.menu.draw(this.columns, chosen.length > 0);
    this.window.setColumns(this.columns);
    if (!this.shown) return;
    this.drawHeads();
    this.window.setItems(this.window.items, false);
  }

  show() {
    this.shown = true;
    this.shownAt = performance.now();
    this.pending ??= true;
    this.window.show();
    this.refilter();
    this.window.restore();
  }

  hide() {
    this.shown = false;
    this.window.hide();
    this.sweeps.release();
    this.rates.release();
  }

  title() {
    return undefined;
  }

  favoured() {
    if (!this.shown) return;
    for (const row of this.window.rows.values()) row.favour();
    if (this.params.fav) this.refilter();
  }

  sortBy(name) {
    const { sort } = this.params;
    const falling = name !== "market" && name !== "ex";
    const next = sort.replace(/^-/, "") !== name ? `${falling ? "-" : ""}${name}` : sort.startsWith("-") ? name : `-${name}`;
    this.app.replaceParams({ sort: next });
    this.refilter();
  }

  refilter() {
    const { catalogue, settings } = this.app;
    this.catalogued = catalogue.version;
    this.chosen = filtered(catalogue, this.params, (each) => settings.isFavourite(each));
    this.rates.want(this.chosen.map(({ quote }) => quote));
    this.sorts = this.params.sort.replace(/^-/, "");
    this.sweeps.want(COLUMNS[this.sorts].value ? this.chosen : [], SWEEP_RATE);
    this.askedAt = performance.now();
    this.drawFilters();
    this.drawHeads();
    this.resort(true);
  }

  resort(isAnew = false) {
    this.sortedAt = performance.now();
    const now = this.sortedAt;
    const rates = new Map();
    const convert = (amount, currency) => {
      if (!rates.has(currency)) rates.set(currency, this.rates.rate(currency, now)?.value);
      return amount * rates.get(currency);
    };
    this.unvalued = 0;
    const valueOf = (each, name) => {
      const id = idOf(each);
      const ticker = this.window.held.get(id)?.topic.value ?? this.sweeps.get(id);
      const value = ticker && COLUMNS[name].value(ticker, each, convert);
      if (!ticker) this.unvalued += 1;
      return Number.isFinite(value) ? value : undefined;
    };
    this.window.setItems(sorted(this.chosen, this.params.sort, valueOf), isAnew);
  }

  // Every few seconds at most, and never under a hand; but what somebody has just asked for comes as soon as the values do.
  sortAgain(now) {
    if (!this.sweeps.open.size) return setText(this.order, "");
    if (now - this.askedAt > KNOWN_MS && OF_A_DAY.includes(this.sorts)) this.sweeps.want(this.chosen, DAY_RATE);
    const isAsked = now - this.askedAt < ASKED_MS && this.unvalued > 0;
    const isHeld = this.window.pointed || Boolean(this.window.focused);
    const isOpen = this.app.feed.state.phase === "open";
    if (isOpen && (isAsked || !isHeld) && now - this.sortedAt > (isAsked ? FIRST_SORT_MS : SORT_MS)) this.resort();
    return setText(this.order, !isOpen || isHeld ? "order held" : `sorted every ${SORT_MS / 1000} s`);
  }

  draw(now) {
    if (this.catalogued !== this.app.catalogue.version) this.refilter();
    this.sortAgain(now);
    const isOrdered = this.chosen.length > 0 && (this.sweeps.open.size === 0 || this.unvalued <= (1 - MOST) * this.chosen.length);
    this.pending &&= !isOrdered && now - this.shownAt < PENDING_MS;
    setClass(this.element, this.pending ? "markets pending" : "markets");
    const ages = now - this.agedAt >= AGE_MS;
    if (ages) this.agedAt = now;
    if (ages) this.wantSparks(now);
    this.window.draw(now, ages);
    this.drawMessage();
  }

  // Once the rows stand where they belong.
  wantSparks(now) {
    this.refusal.say(this.columns.includes("spark") ? this.sparks.words : "");
    if (!this.columns.includes("spark") || now - this.askedAt < ASKED_MS) return;
    this.window.wantSparks(now);
  }

  drawHeads() {
    const quotes = new Set(this.chosen.map(({ quote }) => quote));
    this.window.drawHeads(this.params.sort, quotes.size === 1 ? [...quotes][0] : "", this.rates.currency);
  }

  drawFilters() {
    const { catalogue } = this.app;
    const { q, m, quote, ex, fav } = this.params;
    if (document.activeElement !== this.query && this.query.value !== q) this.query.value = q;
    KINDS.forEach((name, index) => setAttr(this.kinds[index], "aria-pressed", String(name === m)));
    const quotes = [...new Set(catalogue.all.filter((each) => m === "all" || each.market_type === m).map((each) => each.quote))].sort();
    fillSelect(this.quote, [["", "all quotes"], ...new Set(quote ? [...quotes, quote] : quotes)], quote);
    this.venues.draw(catalogue.venues, ex ? ex.split(",") : []);
    setAttr(this.fav, "aria-pressed", String(Boolean(fav)));
    setText(this.count, `${this.chosen.length} of ${catalogue.all.length} markets`);
  }

  drawMessage() {
    const { q, m, quote, ex, fav } = this.params;
    const filters = [q && `"${q}"`, m !== "all" && m, quote && `quote ${quote}`, ex && `on ${ex}`, fav && "among favourites"];
    const text = this.chosen.length ? "" : !this.app.catalogue.all.length ? emptyState(this.app)
      : fav && !this.app.settings.get("favourites").length ? "No favourites yet: the star of a row, or f, makes one."
        : `No market matches ${filters.filter(Boolean).join(", ")}.`;
    show(this.message, Boolean(text));
    show(this.window.element, !text);
    if (this.message.said === text) return;
    this.message.said = text;
    this.message.replaceChildren(...worded(text));
    if (this.app.catalogue.all.length) this.message.append(button("Clear the filters", () => this.clear()));
  }

  clear() {
    this.app.replaceParams({ ...defaults("markets"), m: "all", tz: this.params.tz, sort: this.params.sort });
    this.query.value = "";
    this.refilter();
  }

  /** j, k and the arrows move through the rows; f and r act on the one with the focus. */
  key(event) {
    const row = this.window.focused;
    const arrows = row ? { ArrowDown: 1, ArrowUp: -1 } : {};
    const step = { j: 1, k: -1, ...arrows }[event.key];
    if (step) this.window.focus(row ? row.index + step : this.window.firstIndex);
    else if (event.key === "Escape") return this.menu.close();
    else if (row && event.key === "f") this.app.settings.toggleFavourite(row.item);
    else if (row && event.key === "r") this.app.announce(this.aloud(row));
    else return false;
    return true;
  }

  // Every column that is shown, by its heading.
  aloud({ item, cells }) {
    const { heads } = this.window;
    const values = Object.entries(cells).filter(([name]) => !["star", "market", "ex", "spark"].includes(name));
    const said = values.map(([name, cell]) => `${name === "state" ? "" : `${heads.get(name).textContent} `}${cell.textContent.trim()}`);
    return `${item.symbol} ${item.market_type} on ${item.exchange}: ${said.join("; ")}`;
  }
}
