// The search for a market, in the header and on Compare.

import { Rows, el, setAttr, setText, show } from "./dom.js";

const FOUND = 12;

/** The search for a market: a combobox over the catalogue. */
export class Search {
  /** `chosen(found)` is called when somebody picks one; `id` is that of the list, `label` names the box. */
  constructor(app, chosen, { id = "found", label = "Search a market", placeholder = "Search market  /" } = {}) {
    Object.assign(this, { app, chosen, id });
    this.found = [];
    this.at = 0;
    this.input = el("input", {
      type: "search", name: "search", class: "search-input", role: "combobox", "aria-label": label,
      "aria-expanded": "false", "aria-controls": id,
      "aria-autocomplete": "list", autocomplete: "off", spellcheck: "false", placeholder,
      oninput: () => this.look(), onfocus: () => this.look(), onblur: () => this.close(), onkeydown: (event) => this.pressed(event),
    });
    this.list = el("ul", { id, role: "listbox", "aria-label": "Markets found", hidden: true });
    this.none = el("p", { class: "search-none", hidden: true }, "Nothing is called that.");
    this.rows = new Rows(this.list, () => this.makeOption());
    this.element = el("div", { class: "search" }, this.input, el("div", { class: "search-found" }, this.list, this.none));
  }

  makeOption() {
    const index = this.rows.rows.length;
    const name = el("b");
    const where = el("span", { class: "muted" });
    const keepFocus = (event) => event.preventDefault();
    const element = el("li", { role: "option", id: `${this.id}-${index}`, onpointerdown: keepFocus, onclick: () => this.pick(index) }, name, where);
    return { element, name, where };
  }

  focus() {
    this.input.focus();
    this.input.select();
  }

  /** Close the list; true when it was open. */
  close() {
    const open = !this.list.hidden || !this.none.hidden;
    show(this.list, false);
    show(this.none, false);
    setAttr(this.input, "aria-expanded", "false");
    setAttr(this.input, "aria-activedescendant", null);
    return open;
  }

  look() {
    this.found = this.search(this.input.value.trim()).slice(0, FOUND);
    this.at = 0;
    this.draw();
  }

  /** What is found for a text, the closest first. */
  search(text) {
    const { catalogue, settings } = this.app;
    const all = catalogue.search(text);
    if (!text) all.sort((a, b) => settings.isFavourite(b) - settings.isFavourite(a));
    return all;
  }

  /** What is said beside the symbol of one that was found. */
  whereOf({ exchange, market_type: market, status }) {
    return `${exchange} ${market}${status === "trading" ? "" : ` (${status})`}`;
  }

  draw() {
    this.rows.fill(this.found, (row, each) => {
      setText(row.name, each.symbol);
      setText(row.where, this.whereOf(each));
      setAttr(row.element, "aria-selected", String(row === this.rows.rows[this.at]));
    });
    const open = document.activeElement === this.input;
    show(this.list, open && this.found.length > 0);
    show(this.none, open && this.found.length === 0);
    setAttr(this.input, "aria-expanded", String(open && this.found.length > 0));
    setAttr(this.input, "aria-activedescendant", open && this.found.length ? `${this.id}-${this.at}` : null);
    this.rows.rows[this.at]?.element.scrollIntoView({ block: "nearest" });
  }

  pressed(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && this.found.length) {
      this.at = (this.at + step + this.found.length) % this.found.length;
      this.draw();
    } else if (event.key === "Enter" && this.found.length && !this.list.hidden) this.pick(this.at);
    else if (event.key === "Escape") {
      if (!this.close()) this.input.blur();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  pick(index) {
    const instrument = this.found[index];
    this.input.value = "";
    this.input.blur();
    this.chosen(instrument);
  }
}
