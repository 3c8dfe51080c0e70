// The table of markets: a window of rows over the whole catalogue; only what is on the screen is subscribed.

import { emptyState } from "./catalogue.js";
import { Toggles, button, el, fillSelect, select, setAttr, setClass, setText, show, table, worded } from "./dom.js";
import { age, bps, compact, price, signedPercent } from "./format.js";
import { CLOCK } from "./panel.js";
import { defaults, marketHash } from "./route.js";
import { spreadBps } from "./rules.js";
import { idOf } from "./settings.js";
import { freshness } from "./topics.js";

const MAX_RATE = 4;
const SWEEP_RATE = 0.5;
const MARGIN = 10;
const SETTLE_MS = 120;
const SORT_MS = 2000;
const AGE_MS = 500;
const KINDS = ["spot", "perpetual", "all"];

const COLUMNS = [
  ["", "Favourite", "star"], ["market", "Market", "name"], ["ex", "Exchange", "ex"], ["last", "Last", "number"], ["change", "24h %", "number"],
  ["bid", "Bid", "number wide"], ["ask", "Ask", "number wide"], ["spread", "Spread bp", "number wide2"], ["volume", "24h volume", "number wide2"],
  ["", "State, age", "state"],
];
const LIVE = {
  last: (ticker) => ticker.last, change: (ticker) => ticker.change_pct_24h, bid: (ticker) => ticker.bid, ask: (ticker) => ticker.ask,
  spread: spreadBps, volume: (ticker) => ticker.quote_volume_24h,
};

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

/** One row, bound to one instrument at a time. */
class Row {
  constructor(view) {
    this.view = view;
    this.star = button("", () => view.app.settings.toggleFavourite(this.item), { class: "starbutton" });
    this.link = el("a");
    this.tag = el("span", { class: "tag" });
    this.where = el("span", { class: "tag narrow" });
    this.lastText = el("span");
    this.arrow = el("span", { class: "arrow", "aria-hidden": "true" });
    this.cells = COLUMNS.map(([, , name]) => el("td", { class: name }));
    this.state = el("span", { class: "lines" });
    const [star, name, , last] = this.cells;
    this.cells[9].append(this.state);
    star.append(this.star);
    name.append(this.link, this.tag, this.where);
    last.append(this.lastText, " ", this.arrow);
    this.element = el("tr", {}, ...this.cells);
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
    setAttr(this.link, "href", marketHash(item));
    const kind = item.market_type === "perpetual" && "perp";
    setText(this.tag, [kind, item.status !== "trading" && item.status].filter(Boolean).join(" "));
    setText(this.cells[2], item.exchange);
    setText(this.where, item.exchange);
    setText(this.arrow, "\u00a0");
    this.favour();
    this.write({}, { good: false, text: "", kind: "waiting" });
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
    const { feed } = this.view.app;
    const fresh = freshness(topic, feed);
    if (this.drawn !== topic.version) {
      this.write(topic.value ?? {}, fresh);
      this.turn(topic.value?.last, fresh.good);
    }
    this.drawn = topic.version;
    const old = topic.age(now);
    setText(this.state, `${fresh.kind === "bad" ? `${CLOCK} ` : ""}${fresh.text}${old === undefined ? "" : ` ${age(old)}`}`);
  }

  write(ticker, fresh) {
    const { price_precision: decimals } = this.item;
    const [, , , , change, bid, ask, spread, volume, state] = this.cells;
    setText(this.lastText, price(ticker.last, decimals));
    setText(change, signedPercent(ticker.change_pct_24h));
    setClass(change, `number ${ticker.change_pct_24h > 0 ? "up" : ticker.change_pct_24h < 0 ? "down" : ""}`);
    setText(bid, price(ticker.bid, decimals));
    setText(ask, price(ticker.ask, decimals));
    setText(spread, bps(spreadBps(ticker)));
    setText(volume, compact(ticker.quote_volume_24h));
    setAttr(volume, "title", `${price(ticker.quote_volume_24h)} ${this.item.quote}, ${price(ticker.volume_24h)} ${this.item.base}`);
    setClass(state, `state ${fresh.kind}`);
    setAttr(state, "title", fresh.text);
    setText(this.state, fresh.text);
    setClass(this.element, fresh.good ? "" : "untrusted");
    if (!fresh.good) setClass(this.cells[3], "number");
  }

  // An arrow that stays and a flash that does not; two names of one animation, so that it begins anew.
  turn(last, good) {
    const before = this.shown;
    this.shown = last;
    if (last === undefined || before === undefined || last === before) return;
    const way = last > before ? "up" : "down";
    setText(this.arrow, way === "up" ? "\u25b4" : "\u25be");
    this.flip = !this.flip;
    if (good) setClass(this.cells[3], `number flash ${way} ${this.flip ? "one" : "two"}`);
  }
}

export class MarketsView {
  constructor(app) {
    this.app = app;
    this.items = [];
    this.rows = new Map();
    this.spare = [];
    this.held = new Map();
    this.sweeps = new Map();
    this.swept = new Map();
    this.sortedAt = 0;
    this.agedAt = -Infinity;
    this.makeFilters();
    this.makeTable();
    this.message = el("div", { class: "empty", hidden: true });
    this.element = el("section", { class: "markets", "aria-label": "Markets" },
      el("h1", { class: "unseen" }, "Markets"), this.filters, this.message, this.scroller);
    app.settings.on((name) => name === "favourites" && this.favoured());
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
    this.count = el("span", { class: "muted", role: "status" });
    this.filters = el("div", { class: "filters", role: "search", "aria-label": "Filters" }, this.query,
      el("span", { class: "segments", role: "group", "aria-label": "Market type" }, ...this.kinds),
      this.quote, this.venues.element, this.fav, this.count);
  }

  makeTable() {
    const titles = COLUMNS.map(([sort, text, name]) => [
      sort ? button(text, () => this.sortBy(sort)) : el("span", name === "star" ? { class: "unseen" } : {}, text), name,
    ]);
    const { element, body, heads } = table("Markets", titles, { class: "grid" });
    this.heads = heads;
    this.table = element;
    this.above = el("tr", { class: "pad", "aria-hidden": "true" }, el("td"));
    this.below = el("tr", { class: "pad", "aria-hidden": "true" }, el("td"));
    body.append(this.above, this.below);
    const pointed = (on) => () => {
      this.pointed = on;
    };
    this.scroller = el("div", { class: "scroller", onscroll: () => this.scrolled(), onpointerenter: pointed(true), onpointerleave: pointed(false) },
      this.table);
    new ResizeObserver(() => this.measure()).observe(this.scroller);
  }

  // The height of a row belongs to the style sheet, and differs with the width of the screen.
  measure() {
    this.rowHeight = parseFloat(getComputedStyle(this.scroller).getPropertyValue("--table-row")) || 28;
    this.scrolled();
  }

  get params() {
    return this.app.route.params;
  }

  show() {
    this.shown = true;
    this.top ??= 0;
    this.measure();
    this.refilter();
    this.scroller.scrollTop = this.top;
  }

  hide() {
    this.shown = false;
    this.release([...this.held.keys()]);
    for (const row of this.rows.values()) row.topic = undefined;
    this.sweepOff();
  }

  title() {
    return undefined;
  }

  favoured() {
    if (!this.shown) return;
    for (const row of this.rows.values()) row.favour();
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
    this.drawFilters();
    this.sweepFor();
    this.resort();
  }

  // A value to sort by must be known of every row, not only of those on the screen.
  sweepFor() {
    const live = Boolean(LIVE[this.params.sort.replace(/^-/, "")]);
    const wanted = new Map(live ? this.chosen.map(({ exchange, market_type: market }) => [`${exchange}/${market}`, { exchange, market }]) : []);
    for (const [key, topic] of this.sweeps) if (!wanted.has(key)) this.sweepEnd(key, topic);
    for (const [key, { exchange, market }] of wanted) {
      if (this.sweeps.has(key)) continue;
      const topic = this.app.feed.open({ channel_type: "ticker", exchange, market_type: market, symbol: "*", max_rate: SWEEP_RATE });
      topic.unlisten = topic.listen((type, payload) => {
        if (type === "ticker") this.swept.set(`${exchange}/${market}/${payload.symbol.base}-${payload.symbol.quote}`, payload);
      });
      this.sweeps.set(key, topic);
    }
  }

  sweepEnd(key, topic) {
    topic.unlisten();
    this.app.feed.close(topic, SWEEP_RATE);
    this.sweeps.delete(key);
  }

  sweepOff() {
    for (const [key, topic] of this.sweeps) this.sweepEnd(key, topic);
    this.swept.clear();
  }

  resort() {
    this.sortedAt = performance.now();
    const valueOf = (each, name) => {
      const id = idOf(each);
      const ticker = this.held.get(id)?.value ?? this.swept.get(id);
      return ticker ? LIVE[name](ticker) : undefined;
    };
    this.items = sorted(this.chosen, this.params.sort, valueOf);
    setAttr(this.table, "aria-rowcount", this.items.length + 1);
    this.layOut();
    this.settleAt = 0;
  }

  scrolled() {
    if (!this.shown) return;
    this.top = this.scroller.scrollTop;
    this.settleAt = performance.now() + SETTLE_MS;
    this.layOut();
    this.app.scheduler.once();
  }

  // Rows that stay in the window keep their element, so that focus and hover stay where they are.
  layOut() {
    const height = this.rowHeight;
    const first = Math.max(0, Math.min(this.items.length, Math.floor(this.scroller.scrollTop / height) - MARGIN));
    const end = Math.min(this.items.length, first + Math.ceil((this.scroller.clientHeight || 600) / height) + 2 * MARGIN);
    const wanted = this.items.slice(first, end);
    const ids = new Set(wanted.map(idOf));
    for (const [id, row] of this.rows) if (!ids.has(id)) this.free(id, row);
    let before = this.above;
    wanted.forEach((item, offset) => {
      before = this.place(item, first + offset, before);
    });
    this.above.firstChild.style.height = `${first * height}px`;
    this.below.firstChild.style.height = `${(this.items.length - end) * height}px`;
  }

  free(id, row) {
    this.rows.delete(id);
    this.spare.push(row);
    row.item = undefined;
    row.element.remove();
  }

  place(item, index, before) {
    const id = idOf(item);
    const row = this.rows.get(id) ?? this.spare.pop() ?? new Row(this);
    this.rows.set(id, row);
    row.bind(item, index);
    if (before.nextSibling !== row.element) before.after(row.element);
    row.topic ??= this.held.get(id);
    return row.element;
  }

  // While scrolling fast nothing is subscribed; where it comes to rest, what is there.
  settle() {
    this.settleAt = undefined;
    const { feed } = this.app;
    this.release([...this.held.keys()].filter((id) => !this.rows.has(id)));
    for (const [id, row] of this.rows) {
      if (!this.held.has(id)) {
        const { exchange, market_type: market, symbol } = row.item;
        this.held.set(id, feed.open({ channel_type: "ticker", exchange, market_type: market, symbol, max_rate: MAX_RATE }));
      }
      row.topic = this.held.get(id);
    }
  }

  release(ids) {
    for (const id of ids) {
      this.app.feed.close(this.held.get(id), MAX_RATE);
      this.held.delete(id);
    }
  }

  draw(now) {
    if (this.catalogued !== this.app.catalogue.version) this.refilter();
    const resting = !this.pointed && !this.scroller.contains(document.activeElement) && this.app.feed.state.phase === "open";
    if (this.sweeps.size && resting && now - this.sortedAt > SORT_MS) this.resort();
    if (this.settleAt !== undefined && now >= this.settleAt) this.settle();
    const ages = now - this.agedAt >= AGE_MS;
    if (ages) this.agedAt = now;
    for (const row of this.rows.values()) row.draw(now, ages);
    this.drawMessage();
  }

  drawFilters() {
    const { catalogue } = this.app;
    const { q, m, quote, ex, fav, sort } = this.params;
    if (document.activeElement !== this.query && this.query.value !== q) this.query.value = q;
    KINDS.forEach((name, index) => setAttr(this.kinds[index], "aria-pressed", String(name === m)));
    const quotes = [...new Set(catalogue.all.filter((each) => m === "all" || each.market_type === m).map((each) => each.quote))].sort();
    fillSelect(this.quote, [["", "all quotes"], ...new Set(quote ? [...quotes, quote] : quotes)], quote);
    this.venues.draw(catalogue.venues, ex ? ex.split(",") : []);
    setAttr(this.fav, "aria-pressed", String(Boolean(fav)));
    setText(this.count, `${this.chosen.length} of ${catalogue.all.length} markets`);
    COLUMNS.forEach(([name], index) => {
      const way = sort === name ? "ascending" : sort === `-${name}` ? "descending" : null;
      if (name) setAttr(this.heads[index], "aria-sort", way);
    });
  }

  drawMessage() {
    const { q, m, quote, ex, fav } = this.params;
    const filters = [q && `"${q}"`, m !== "all" && m, quote && `quote ${quote}`, ex && `on ${ex}`, fav && "among favourites"];
    const text = this.items.length ? "" : !this.app.catalogue.all.length ? emptyState(this.app)
      : fav && !this.app.settings.get("favourites").length ? "No favourites yet: the star of a row, or f, makes one."
        : `No market matches ${filters.filter(Boolean).join(", ")}.`;
    show(this.message, Boolean(text));
    show(this.scroller, !text);
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
    const row = [...this.rows.values()].find(({ element }) => element.contains(document.activeElement));
    const arrows = row ? { ArrowDown: 1, ArrowUp: -1 } : {};
    const step = { j: 1, k: -1, ...arrows }[event.key];
    if (step) this.focusRow(row ? row.index + step : Math.ceil(this.scroller.scrollTop / this.rowHeight));
    else if (row && event.key === "f") this.app.settings.toggleFavourite(row.item);
    else if (row && event.key === "r") this.app.announce(this.aloud(row));
    else return false;
    return true;
  }

  focusRow(index) {
    const item = this.items[Math.max(0, Math.min(this.items.length - 1, index))];
    if (!item) return;
    const top = this.items.indexOf(item) * this.rowHeight;
    const { scrollTop, clientHeight } = this.scroller;
    if (top < scrollTop) this.scroller.scrollTop = top;
    else if (top + 3 * this.rowHeight > scrollTop + clientHeight) this.scroller.scrollTop = top + 3 * this.rowHeight - clientHeight;
    this.layOut();
    this.rows.get(idOf(item))?.link.focus({ preventScroll: true });
  }

  aloud({ item, cells }) {
    const [, , , last, change, bid, ask, spread, , state] = cells.map((each) => each.textContent);
    const quote = `last ${last}, ${change} in 24 hours, bid ${bid}, ask ${ask}, spread ${spread} basis points, ${state}`;
    return `${item.symbol} ${item.market_type} on ${item.exchange}: ${quote}`;
  }
}
