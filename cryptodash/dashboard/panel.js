// One panel of a view: a title, whether its stream may be believed, and a place for the server's refusal.

import { el, setAttr, setClass, setText, show } from "./dom.js";
import { age, stateWords } from "./format.js";
import { trusted } from "./topics.js";

/** Marks a value that is not to be trusted. */
export const CLOCK = "\u25f7";

/** Why a topic may not be believed, in words with its age; "" when it may. */
export function doubt(topic, feed, now) {
  if (trusted(topic, feed)) return "";
  const old = topic.age(now);
  const { status } = topic;
  const fields = status.fields?.length > 3 ? [] : status.fields; // more than three is all of it
  const why = feed.state.phase === "open" ? stateWords({ ...status, fields }) : "no connection";
  return old === undefined ? why : `${why}, ${age(old)}`;
}

export class Panel {
  /** `retry()` is called when the user asks again for a refused stream. */
  constructor(name, title, content, { controls, retry }) {
    this.name = name;
    this.title = el("h2", { id: `panel-${name}` }, title);
    this.state = el("span", { class: "panel-state" });
    this.words = el("span");
    const again = el("button", { type: "button", class: "small", onclick: retry }, "Retry");
    this.refusal = el("div", { class: "panel-refusal", hidden: true }, this.words, again);
    this.content = el("div", { class: "panel-content" }, content);
    const head = el("div", { class: "panel-head" }, this.title, this.state, controls);
    const properties = { class: `panel panel-${name}`, id: `view-${name}`, "aria-labelledby": this.title.id };
    this.element = el("section", properties, head, this.refusal, this.content);
  }

  /** Shows how fresh `topic` is; `more` is said beside it. */
  draw(topic, feed, now, more = "") {
    const why = doubt(topic, feed, now);
    const text = why ? `${CLOCK} ${why}` : topic.status.state;
    setText(this.state, more ? `${text}, ${more}` : text);
    setClass(this.state, why ? "panel-state doubtful" : "panel-state");
    show(this.refusal, topic.error !== null);
    if (topic.error) setText(this.words, topic.error.message);
    setAttr(this.element, "data-state", feed.state.phase === "open" ? topic.status.state : "offline");
  }
}
