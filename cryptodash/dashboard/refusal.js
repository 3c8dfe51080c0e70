// What the server refuses for good: its words, and a button that asks again.

import { button, el, setText, show } from "./dom.js";

export class Refusal {
  /** `name`: of what is refused, for the button; `retry()` is called when the user asks again. */
  constructor(name, retry) {
    this.words = el("span");
    this.element = el("div", { class: "panel-refusal", hidden: true }, this.words, button("Retry", retry, { class: "small", "aria-label": `Retry: ${name}` }));
  }

  /** Say it; "" where nothing is refused. */
  say(text) {
    setText(this.words, text);
    show(this.element, text !== "");
  }
}
