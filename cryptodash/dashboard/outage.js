// Why something is not there, above every view: venues that cannot be used, and what the server refuses for good.

import { el, setText, show } from "./dom.js";
import { sentence } from "./venues.js";

const LOOK_MS = 500;

export class Outage {
  constructor(app) {
    this.app = app;
    this.element = el("p", { class: "outage", hidden: true });
    this.refused = new Map();
    this.lookedAt = -Infinity;
  }

  /** Look at once at the next drawing: another view is shown. */
  moved() {
    this.lookedAt = -Infinity;
  }

  draw(now) {
    if (now - this.lookedAt < LOOK_MS) return;
    this.lookedAt = now;
    this.drawVenues(now);
    const { venues, catalogue } = this.app;
    this.drawRefused("list of exchanges", venues);
    this.drawRefused("list of markets", catalogue);
  }

  // Those of the view, each in a sentence; said aloud when that changes.
  drawVenues(now) {
    const { app } = this;
    const { view, exchange } = app.route;
    const out = app.venues.out(app.feed, now).filter(({ id }) => view !== "market" || id === exchange).map(sentence);
    const text = out.length ? `${out.join("; ")}. The server goes on trying.` : "";
    if (text === this.said) return;
    if (text || this.said) app.announce(text || "No exchange of this view is out of reach any more.");
    this.said = text;
    setText(this.element, text);
    show(this.element, text !== "");
  }

  // Said once, and asked again when somebody wants it.
  drawRefused(what, { refused: words, question }) {
    const refused = question.error?.status === 401 ? "" : words; // the form asks for a token
    if ((this.refused.get(what) ?? "") === refused) return;
    this.refused.set(what, refused);
    this.app.banners.drop(what);
    if (refused) this.app.banner(what, `The server refuses the ${what}: ${refused}`, "Retry", () => question.ask());
  }
}
