// The rows that are on the screen, out of a list of any length: only they have elements, and only they are subscribed.

import { COLUMNS, classOf, heading } from "./columns.js";
import { button, el, setAttr, setText, table } from "./dom.js";
import { Row } from "./marketrow.js";
import { idOf } from "./settings.js";

const MAX_RATE = 4;
const MARGIN = 10;
const SETTLE_MS = 120;
/** A row that a new order moved out of the window is held for so long: the next order may bring it back. */
const LEFT_MS = 15000;
const PRINTED = 1000;
/** Of the others no exchange has bars. */
const TRADED = ["trading", "halted"];

export class MarketWindow {
  /**
   * `view` is a `MarketsView`, and `sortBy(name)` hears a heading; or a `MarketList`, where nothing is sorted by hand and nothing printed.
   * `margin`: rows above and below those in sight; `isNarrow`: columns do not grow with the names in them.
   */
  constructor(view, sortBy, { maxRate = MAX_RATE, margin = MARGIN, isNarrow = false } = {}) {
    Object.assign(this, { view, sortBy, maxRate, margin, isAlwaysNarrow: isNarrow });
    this.items = [];
    this.rows = new Map();
    this.spare = [];
    this.held = new Map();
    this.top = 0;
    this.element = el("div", { class: "scroller", onscroll: () => this.scrolled() });
    new ResizeObserver(() => this.measure()).observe(this.element);
    if (sortBy) for (const [name, on] of [["beforeprint", true], ["afterprint", false]]) addEventListener(name, () => this.print(on));
  }

  /** Begin anew with these columns (names). */
  setColumns(names) {
    if (String(names) === String(this.names)) return;
    this.names = names;
    this.chars = new Map(names.map((name) => [name, COLUMNS[name].chars]));
    this.rows.clear();
    this.spare = [];
    const titles = names.map((name) => {
      const { text, sortable, value, about } = COLUMNS[name];
      const title = this.sortBy && (sortable || value) ? button(text, () => this.sortBy(name), { title: about })
        : el("span", { title: about, class: name === "star" && "unseen" }, text);
      return [title, classOf(name)];
    });
    const { element, body, heads } = table("Markets", titles, { class: "grid" });
    this.cols = new Map(names.map((name) => [name, el("col")]));
    element.querySelector("thead").before(el("colgroup", {}, ...this.cols.values()));
    this.heads = new Map(names.map((name, index) => [name, heads[index]]));
    this.above = el("tr", { class: "pad", "aria-hidden": "true" }, el("td"));
    this.below = el("tr", { class: "pad", "aria-hidden": "true" }, el("td"));
    body.append(this.above, this.below);
    // A heading may be clicked with the pointer where it is; rows may not move away from under it.
    for (const [type, on] of [["pointerover", true], ["pointerleave", false]]) body.addEventListener(type, () => { this.pointed = on; });
    this.pointed = false;
    this.table = element;
    this.element.replaceChildren(element);
    for (const name of names) this.stretch(name);
  }

  /** A text of so many characters must fit: columns grow with what is in them, and do not shrink and grow by turns. `wraps`: on narrow screens. */
  widen(name, chars, wraps = false) {
    if (chars <= this.chars.get(name) || (wraps && this.isNarrow)) return;
    this.chars.set(name, chars);
    this.stretch(name);
  }

  stretch(name) {
    this.cols.get(name).style.width = `calc(${this.chars.get(name)}ch + var(--cell))`;
    const all = [...this.chars.values()].reduce((sum, chars) => sum + chars, 0);
    this.table.style.minWidth = `calc(${all}ch + ${this.chars.size} * var(--cell))`;
  }

  /** Headings with their units; `sort` as in the URL. */
  drawHeads(sort, quote, common) {
    for (const [name, head] of this.heads) {
      const text = heading(name, quote, common);
      setText(head.firstChild, text);
      if (name !== "star") this.widen(name, Math.ceil(text.length * 0.9) + 2, true);
      const way = sort === name ? "ascending" : sort === `-${name}` ? "descending" : null;
      if (COLUMNS[name].sortable || COLUMNS[name].value) setAttr(head, "aria-sort", way);
    }
  }

  // The height of a row belongs to the style sheet, and differs with the width of the screen.
  measure() {
    this.rowHeight = parseFloat(getComputedStyle(this.element).getPropertyValue("--table-row")) || 28;
    const isNarrow = this.isAlwaysNarrow || matchMedia("(max-width: 520px)").matches;
    if (isNarrow !== this.isNarrow) this.names = undefined;
    this.isNarrow = isNarrow;
    this.view.chooseColumns();
    this.scrolled();
  }

  show() {
    this.shown = true;
    this.measure();
  }

  /** After the first rows are there: where it was left. */
  restore() {
    this.element.scrollTop = this.top;
  }

  hide() {
    this.shown = false;
    this.release([...this.held.keys()]);
    for (const row of this.rows.values()) row.topic = undefined;
  }

  /** Another list (`isAnew`), or the same in another order. */
  setItems(items, isAnew) {
    this.items = items;
    this.isAnew ||= isAnew;
    setAttr(this.table, "aria-rowcount", items.length + 1);
    this.layOut();
    this.settleAt ??= 0;
  }

  scrolled() {
    if (!this.shown) return;
    this.top = this.element.scrollTop;
    this.settleAt = performance.now() + SETTLE_MS;
    this.isAnew = true;
    this.layOut();
    this.view.app.scheduler.once();
  }

  // Rows that stay in the window keep their element, so that focus and hover stay where they are.
  layOut() {
    const { items, rowHeight: height } = this;
    let first = Math.max(0, Math.min(items.length, Math.floor(this.element.scrollTop / height) - this.margin));
    let end = Math.min(items.length, first + Math.ceil((this.element.clientHeight || 600) / height) + 2 * this.margin);
    if (this.printing) [first, end] = [0, Math.min(items.length, PRINTED)];
    const wanted = items.slice(first, end);
    const ids = new Set(wanted.map(idOf));
    for (const [id, row] of this.rows) if (!ids.has(id)) this.free(id, row);
    let before = this.above;
    wanted.forEach((item, offset) => {
      before = this.place(item, first + offset, before);
    });
    this.above.firstChild.style.height = `${first * height}px`;
    this.below.firstChild.style.height = `${this.printing ? 0 : (items.length - end) * height}px`;
  }

  free(id, row) {
    this.rows.delete(id);
    this.spare.push(row);
    row.item = undefined;
    row.element.remove();
  }

  place(item, index, before) {
    const id = idOf(item);
    const row = this.rows.get(id) ?? this.spare.pop() ?? new Row(this.view);
    this.rows.set(id, row);
    row.bind(item, index);
    if (before.nextSibling !== row.element) before.after(row.element);
    row.topic ??= this.held.get(id)?.topic;
    return row.element;
  }

  // While scrolling fast nothing is subscribed; where it comes to rest, what is there.
  settle(now) {
    this.settleAt = undefined;
    const gone = [...this.held].filter(([id]) => !this.rows.has(id));
    for (const [, each] of gone) each.leftAt ??= now;
    const kept = this.isAnew ? [] : gone.filter(([, { leftAt }]) => now - leftAt < LEFT_MS).slice(-this.rows.size);
    this.release(gone.filter((each) => !kept.includes(each)).map(([id]) => id));
    this.isAnew = false;
    for (const [id, row] of this.rows) {
      if (!this.held.has(id)) {
        const { exchange, market_type: market, symbol } = row.item;
        this.held.set(id, { topic: this.view.app.feed.open({ channel_type: "ticker", exchange, market_type: market, symbol, max_rate: this.maxRate }) });
      }
      const held = this.held.get(id);
      held.leftAt = undefined;
      row.topic = held.topic;
    }
  }

  release(ids) {
    for (const id of ids) {
      this.view.app.feed.close(this.held.get(id).topic, this.maxRate);
      this.held.delete(id);
    }
  }

  /** `[id, instrument]` of the rows that can be seen now, without the margin. */
  get inSight() {
    const first = this.element.scrollTop / this.rowHeight - 1;
    const last = first + this.element.clientHeight / this.rowHeight + 1;
    const seen = [...this.rows].filter(([, { index }]) => index >= first && index <= last);
    return seen.sort(([, a], [, b]) => a.index - b.index).map(([id, { item }]) => [id, item]);
  }

  /** Have the lines of the rows in sight fetched. */
  wantSparks(now) {
    this.view.sparks.want(this.inSight.filter(([, { status }]) => TRADED.includes(status)), now);
  }

  draw(now, ages) {
    if (this.settleAt !== undefined && now >= this.settleAt && !this.printing) this.settle(now);
    for (const row of this.rows.values()) row.draw(now, ages);
  }

  /** The row with the focus. */
  get focused() {
    return [...this.rows.values()].find(({ element }) => element.contains(document.activeElement));
  }

  focus(index) {
    const item = this.items[Math.max(0, Math.min(this.items.length - 1, index))];
    if (!item) return;
    const top = this.items.indexOf(item) * this.rowHeight;
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + 3 * this.rowHeight > scrollTop + clientHeight) this.element.scrollTop = top + 3 * this.rowHeight - clientHeight;
    this.layOut();
    this.rows.get(idOf(item))?.link.focus({ preventScroll: true });
  }

  /** The first row that is seen. */
  get firstIndex() {
    return Math.ceil(this.element.scrollTop / this.rowHeight);
  }

  // On paper there is nothing to scroll: all rows, those that were not on the screen with what the sweep said of them.
  print(on) {
    if (!this.shown) return;
    this.printing = on;
    this.layOut();
    if (on) for (const [id, row] of this.rows) if (!row.topic) row.drawSwept(this.view.sweeps.get(id));
    if (!on) this.spare.length = Math.min(this.spare.length, this.rows.size);
  }
}
