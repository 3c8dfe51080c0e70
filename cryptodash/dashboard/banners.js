// Lines at the top of the page: one for each thing to say, with a button that acts and one that dismisses.

import { button, el } from "./dom.js";

export class Banners {
  constructor(host) {
    this.host = host;
  }

  find(id) {
    return [...this.host.children].find((each) => each.dataset.id === id);
  }

  /** Say a line, once per `id`; `label` and `action` are a button's, `dismissed` hears when somebody takes it away. */
  show(id, text, label, action, dismissed) {
    if (this.find(id)) return;
    const gone = () => {
      line.remove();
      dismissed?.();
    };
    const line = el("div", { class: "banner", "data-id": id }, el("span", { role: "status" }, text),
      label ? button(label, action) : null, button("\u00d7", gone, { class: "plain", "aria-label": "Dismiss" }));
    this.host.append(line);
  }

  /** Take a line away. */
  drop(id) {
    this.find(id)?.remove();
  }

  /** A line until the next place is shown; the last two are kept. */
  notice(text) {
    this.show(`notice ${text}`, text);
    this.notices.slice(0, -2).forEach((each) => each.remove());
  }

  dropNotices() {
    for (const each of this.notices) each.remove();
  }

  get notices() {
    return [...this.host.children].filter((each) => each.dataset.id.startsWith("notice"));
  }
}
