// One panel of a view: a title, whether its stream may be believed, and a place for the server's refusal.

import { el, setAttr, setClass, setText } from "./dom.js";
import { age, stateWords } from "./format.js";
import { Refusal } from "./refusal.js";
import { linkTrouble, trusted } from "./topics.js";

/** Marks a value that is not to be trusted. */
export const CLOCK = "\u25f7";

/** Why a topic may not be believed, in words with the age of what is in doubt; "" when it may. */
export function doubt(topic, feed, now) {
  if (trusted(topic, feed)) return "";
  const trouble = linkTrouble(feed);
  const old = topic.age(now);
  const { status } = topic;
  const fields = status.fields?.length > 3 ? [] : status.fields; // more than three is all of it
  const then = status.state === "recorded" ? `recorded, ${status.recorded_state ?? "not known"}` : status.state;
  const why = trouble || stateWords({ ...status, state: then, fields });
  return old === undefined ? why : `${why}, ${age(old)}`;
}

export class Panel {
  /** `retry()` is called when the user asks again for a refused stream. */
  constructor(name, title, content, { controls, retry }) {
    this.name = name;
    this.title = el("h2", { id: `panel-${name}` }, title);
    this.state = el("span", { class: "panel-state" });
    this.refusal = new Refusal(title, retry);
    this.content = el("div", { class: "panel-content" }, content);
    const head = el("div", { class: "panel-head" }, this.title, this.state, controls);
    const properties = { class: `panel panel-${name}`, id: `view-${name}`, "aria-labelledby": this.title.id };
    this.element = el("section", properties, head, this.refusal.element, this.content);
  }

  /** Shows how fresh `topic` is; `more` is said beside it, `refused` are the server's words for what it refuses beside the stream itself. */
  draw(topic, feed, now, more = "", refused = "") {
    const why = doubt(topic, feed, now);
    const text = why ? `${CLOCK} ${why}` : topic.status.state;
    setText(this.state, more ? `${text}, ${more}` : text);
    setClass(this.state, why ? "panel-state doubtful" : "panel-state");
    this.refusal.say(topic.error?.message ?? refused);
    setAttr(this.element, "data-state", feed.state.phase === "open" ? topic.status.state : "offline");
  }
}
