// The list of markets beside a market: its place, the button and whether it is open. What is in it is fetched when it is first opened.

import { button, el, setAttr, setClass, show } from "./dom.js";

/** What a sheet over the view covers. */
const COVERED = "#top, #banners, footer, .skip, .market-grid, .market-message";

export class Drawer {
  /** `view` is a `MarketView`. On a wide screen the settings say whether it is open; on a narrow one it is a sheet, open until a market is chosen. */
  constructor(view) {
    this.view = view;
    this.isSheetOpen = false;
    this.element = el("aside", { class: "drawer", id: "drawer", "aria-label": "List of markets", hidden: true });
    const properties = { class: "drawer-button plain", "aria-label": "List of markets (m)", title: "List of markets (m)", "aria-controls": "drawer" };
    this.button = button("\u2630", () => this.toggle(), properties);
    view.figures.element.prepend(this.button);
    view.app.settings.on((name) => name === "drawer" && this.apply());
    view.layout.wide.addEventListener("change", () => this.apply());
  }

  get isWide() {
    return this.view.layout.wide.matches;
  }

  // Its prices are those of now: beside recorded time there is no place for them.
  get isOpen() {
    return this.view.shown && !this.view.params.at && (this.isWide ? this.view.app.settings.get("drawer") : this.isSheetOpen);
  }

  /** Open or close it by hand: the focus goes with it. */
  toggle() {
    const on = !this.isOpen;
    const hadFocus = this.element.contains(document.activeElement);
    this.takesFocus = on;
    if (this.isWide) this.view.app.settings.set("drawer", on);
    else {
      this.isSheetOpen = on;
      this.apply();
    }
    if (hadFocus) this.button.focus();
  }

  /** A market was chosen, or Escape pressed: a sheet is in the way then. */
  closeSheet() {
    if (this.isOpen && !this.isWide) this.toggle();
  }

  /** The view was shown, hidden or moved to another market, the screen became wide or narrow, the setting has changed. */
  apply() {
    if (!this.view.shown) this.isSheetOpen = false;
    const on = this.isOpen;
    show(this.element, on);
    setClass(this.view.element, on ? "market with-drawer" : "market");
    setAttr(this.button, "aria-expanded", String(on));
    for (const each of document.querySelectorAll(COVERED)) each.inert = on && !this.isWide;
    if (on && !this.list) this.fetch();
    else if (on) this.list.show(this.view.route);
    else this.list?.hide();
    if (on && this.list && this.takesFocus) {
      this.takesFocus = false;
      this.list.focus();
    }
  }

  async fetch() {
    if (this.fetching) return;
    this.fetching = true;
    try {
      const { MarketList } = await import("./marketlist.js");
      this.list = new MarketList(this.view.app, { close: () => this.toggle(), chosen: () => this.closeSheet() });
      this.element.replaceChildren(this.list.element);
      this.apply();
    } catch {
      this.element.replaceChildren(el("p", { class: "empty" }, "The list could not be fetched from the server."), button("Close", () => this.toggle()));
    }
    this.fetching = false;
  }

  draw(now) {
    if (this.isOpen) this.list?.draw(now);
  }

  /** A single key; true when it meant something here. */
  key({ key }) {
    const isInside = this.element.contains(document.activeElement);
    if (key === "m" || (key === "Escape" && this.isOpen && (isInside || !this.isWide))) this.toggle();
    else return isInside && key === "f" && Boolean(this.list?.favourite());
    return true;
  }
}
