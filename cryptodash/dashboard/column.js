// A column of a table of fixed layout that is as wide as what stands in it.

import { el } from "./dom.js";

/** A <col> as wide as its longest text so far: it grows, and does not jump back. */
export class Column {
  constructor() {
    this.element = el("col");
    this.length = 0;
  }

  /** For another market. */
  reset() {
    this.length = 0;
    this.element.style.removeProperty("width");
  }

  /** Room for this text; digits are as wide as `ch`, the rest of a number is narrower. */
  fit(text) {
    if (text.length <= this.length) return;
    this.length = text.length;
    this.element.style.setProperty("width", `calc(${text.length}ch + 17px)`);
  }
}
