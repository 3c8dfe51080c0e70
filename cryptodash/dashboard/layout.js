// Where the panels of a market stand: beside each other on a wide screen, one at a time behind tabs on a narrow one.

import { el, setAttr, show } from "./dom.js";

const TABS = [["chart", "Chart"], ["book", "Book"], ["trades", "Trades"], ["depth", "Depth"]];
const NAMES = TABS.map(([name]) => name);
const WIDE = "(min-width: 900px)";

export class Layout {
  /** `panels` by name; `chosen(name)` hears of a tab, `changed()` of a screen that became wide or narrow. */
  constructor(panels, chosen, changed) {
    this.panels = panels;
    this.chosen = chosen;
    this.wide = matchMedia(WIDE);
    this.wide.addEventListener("change", changed);
    this.visible = new Set();
    this.buttons = new Map(TABS.map(([name, text]) => {
      const onclick = () => chosen(name);
      return [name, el("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": `view-${name}`, onclick }, text)];
    }));
    const onkeydown = (event) => this.pressed(event);
    this.tabs = el("div", { class: "market-tabs", role: "tablist", "aria-label": "Panels", onkeydown }, ...this.buttons.values());
  }

  pressed(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const next = NAMES[(NAMES.indexOf(this.tab) + step + NAMES.length) % NAMES.length];
    this.chosen(next);
    this.buttons.get(next).focus();
    event.preventDefault();
  }

  /** Show the panels, on a narrow screen the one of `tab`. */
  apply(tab) {
    const wide = this.wide.matches;
    this.tab = tab;
    this.visible = new Set(wide ? NAMES : [tab]);
    show(this.tabs, !wide);
    for (const [name, button] of this.buttons) {
      setAttr(button, "aria-selected", String(name === tab));
      setAttr(button, "tabindex", name === tab ? "0" : "-1");
      const { element } = this.panels[name];
      show(element, this.visible.has(name));
      setAttr(element, "role", wide ? null : "tabpanel");
    }
  }

  /** Whether one of these panels can be seen. */
  sees(...names) {
    return names.some((name) => this.visible.has(name));
  }
}
