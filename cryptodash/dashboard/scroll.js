// What goes on below the edge of the screen is told, and reached by the keyboard.

import { setAttr } from "./dom.js";

const LOOK_MS = 500;
/** How far the keys that scroll a document go, in heights of what is seen. */
const PAGES = { ArrowDown: 0.1, ArrowUp: -0.1, PageDown: 0.9, PageUp: -0.9, Home: -Infinity, End: Infinity };

export class Scroll {
  constructor(main) {
    this.main = main;
    this.lookedAt = -Infinity;
    main.addEventListener("scroll", () => this.look(), { passive: true });
  }

  draw(now) {
    if (now - this.lookedAt < LOOK_MS) return;
    this.lookedAt = now;
    this.look();
  }

  look() {
    const { scrollTop, scrollHeight, clientHeight } = this.main;
    const scrolls = scrollHeight > clientHeight + 1;
    setAttr(this.main, "tabindex", scrolls ? "0" : "-1");
    setAttr(this.main, "data-more", scrolls && scrollTop + clientHeight < scrollHeight - 1);
  }

  /** Where nothing has the focus the keys that scroll a document scroll the view; whether this is one of them. */
  key({ key }) {
    const { scrollHeight, clientHeight } = this.main;
    const pages = PAGES[key];
    if (!pages || document.activeElement !== document.body || scrollHeight <= clientHeight) return false;
    this.main.scrollBy({ top: Math.max(-scrollHeight, Math.min(scrollHeight, pages * clientHeight)) });
    return true;
  }
}
