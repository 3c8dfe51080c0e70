// Elements without markup in strings, and writes that touch the document only when something changed.

import { token } from "./token.js";

/** An element: `el("td", {class: "number", title: "x", onclick: f, hidden: true}, "text", child)`. */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else setAttr(made, name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** An SVG icon of one path in a box of 16. */
export function icon(path) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  for (const [name, value] of Object.entries({ viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true" })) made.setAttribute(name, value);
  line.setAttribute("d", path);
  made.append(line);
  return made;
}

/** Write the text only if it differs from what was written last. */
export function setText(target, text) {
  if (target.shownText === text) return false;
  target.shownText = text;
  target.textContent = text;
  return true;
}

/** Set, or with false, null or undefined remove, an attribute; only if it differs. */
export function setAttr(target, name, value) {
  const text = value === false || value === null || value === undefined ? null : value === true ? "" : String(value);
  const shown = (target.shownAttrs ??= {});
  if (shown[name] === text) return;
  shown[name] = text;
  if (text === null) target.removeAttribute(name);
  else target.setAttribute(name, text);
}

/** A push button. */
export const button = (text, onclick, more = {}) => el("button", { type: "button", onclick, ...more }, text);

/** The whole class attribute, only if it differs. */
export const setClass = (target, text) => setAttr(target, "class", text);

/** Show or hide. */
export const show = (target, on) => {
  if (target.hidden === on) target.hidden = !on;
};

/** One choice of several in a <select>. `options` are texts or [value, text]. */
export function select(label, options, value, onchange) {
  const made = el("select", { name: label, "aria-label": label, onchange: () => onchange(made.value) });
  fillSelect(made, options, value);
  return made;
}

/** New options for a <select>, only if they differ. */
export function fillSelect(target, options, value) {
  const key = JSON.stringify(options);
  if (target.shownOptions !== key) {
    target.shownOptions = key;
    target.replaceChildren(...options.map((option) => {
      const [name, text] = Array.isArray(option) ? option : [option, option];
      return el("option", { value: name }, text);
    }));
  }
  if (target.value !== value) target.value = value;
}

/** A <table> with headings; `columns` are texts or [text, class]. */
export function table(caption, columns, properties = {}) {
  const heads = columns.map((column) => {
    const [text, name] = Array.isArray(column) ? column : [column, null];
    return el("th", { scope: "col", class: name }, text);
  });
  const body = el("tbody");
  const head = el("thead", {}, el("tr", { "aria-rowindex": 1 }, ...heads));
  return { element: el("table", properties, el("caption", { class: "unseen" }, caption), head, body), body, heads };
}

/** The rows of a table's body: kept, and rewritten where they differ. `make() -> {element, ...}`, `write(row, item)`. */
export class Rows {
  constructor(body, make) {
    Object.assign(this, { body, make, rows: [] });
  }

  fill(items, write) {
    while (this.rows.length < items.length) {
      const row = this.make();
      this.rows.push(row);
      this.body.append(row.element);
    }
    this.rows.forEach((row, index) => {
      show(row.element, index < items.length);
      if (index < items.length) write(row, items[index]);
    });
  }
}

/** Buttons that choose some of several names, all when none is chosen. `changed(names)` gets the chosen ones, [] for all. */
export class Toggles {
  constructor(label, changed) {
    this.element = el("span", { class: "segments", role: "group", "aria-label": label });
    this.buttons = new Rows(this.element, () => {
      const row = { element: button("", () => changed(this.toggled(row.name))) };
      return row;
    });
  }

  draw(names, chosen) {
    this.names = names;
    this.chosen = chosen.length ? chosen : names;
    this.buttons.fill(names, (row, name) => {
      row.name = name;
      setText(row.element, name);
      setAttr(row.element, "aria-pressed", String(this.chosen.includes(name)));
    });
  }

  toggled(name) {
    const next = this.names.filter((each) => (each === name) !== this.chosen.includes(each));
    return next.length === this.names.length ? [] : next;
  }
}

/** A row of `classes.length` cells, for Rows. */
export function cells(classes) {
  const made = classes.map((name) => el("td", { class: name || null }));
  return { element: el("tr", {}, ...made), cells: made };
}

/** A text with commands between backticks, as nodes. */
export const worded = (text) => text.split("`").map((part, index) => el(index % 2 ? "code" : "span", {}, part));

/** JSON by REST, relative to the page. Throws an Error with the server's own words, `status`, `body` and the wait that it asks for (ms). */
export async function fetchJson(path) {
  const shown = token.value;
  const answer = await fetch(new URL(path, document.baseURI), { headers: token.headers });
  const body = await answer.json().catch(() => null);
  if (answer.ok) return body;
  const error = new Error(body?.error?.message ?? `HTTP ${answer.status}`);
  if (answer.status === 401) token.refused(shown, error.message);
  const retryMs = 1000 * (Number(answer.headers.get("Retry-After")) || 0);
  throw Object.assign(error, { status: answer.status, code: body?.error?.code, body, retryMs });
}
