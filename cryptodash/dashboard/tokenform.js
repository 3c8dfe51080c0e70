// Asks for the server's token: a dialog, and a line at the top while there is none.

import { button, el, setText, show } from "./dom.js";
import { token } from "./token.js";

export class TokenForm {
  /** `given()` is called with another token, or none any more. */
  constructor(app, given) {
    Object.assign(this, { app, given });
    this.field = el("input", { type: "password", id: "token", autocomplete: "off", spellcheck: "false", maxlength: "2048", required: true });
    this.words = el("p", { class: "refused", role: "alert", hidden: true });
    this.forgetting = button("Forget the token", () => this.forget());
    const form = el("form", { method: "dialog", onsubmit: (event) => this.take(event) }, el("label", { for: "token" }, "Token"), this.field,
      el("div", { class: "buttons" }, el("button", { type: "submit", class: "primary" }, "Use it"), this.forgetting, button("Cancel", () => this.element.close())));
    this.element = el("dialog", { class: "token", "aria-labelledby": "token-title" }, el("h2", { id: "token-title" }, "This server asks for a token"),
      el("p", { class: "muted" }, "Kept for this tab alone, until it is closed or you forget it here. Whoever runs the server makes tokens."), this.words, form);
  }

  /** The server wants one: `words` say what was wrong with the one there is. */
  ask(words) {
    this.say(words);
    this.app.banner("token", "This server asks for a token.", "Enter it", () => this.open());
    if (!this.asked) this.open();
    this.asked = true;
  }

  /** Show the dialog. */
  open() {
    show(this.forgetting, token.value !== "");
    if (!this.element.open) this.element.showModal();
  }

  /** The server has taken it. */
  accepted() {
    this.asked = false;
    this.say("");
    this.app.banners.drop("token");
    if (this.element.open) this.element.close();
  }

  say(words) {
    setText(this.words, words);
    show(this.words, words !== "");
  }

  take(event) {
    event.preventDefault();
    const text = this.field.value.trim();
    this.field.value = "";
    if (!text) return;
    this.say("");
    this.asked = false;
    this.element.close();
    this.app.banners.drop("token");
    token.set(text);
    this.given();
  }

  forget() {
    this.element.close();
    this.say("");
    token.set("");
    this.given();
  }
}
