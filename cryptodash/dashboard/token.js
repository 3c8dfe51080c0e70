// The token of this page: kept for this tab alone (sessionStorage), shown as the first word on the socket and with every question by REST.

const KEY = "cryptodash.token";

export class Token {
  constructor() {
    this.listeners = new Set();
    try {
      this.value = sessionStorage.getItem(KEY) ?? "";
    } catch {
      this.value = ""; // Storage is refused: kept until the page is closed.
    }
  }

  /** Another token, or with "" none any more. */
  set(text) {
    this.value = text;
    try {
      if (text) sessionStorage.setItem(KEY, text);
      else sessionStorage.removeItem(KEY);
    } catch {
      // As above.
    }
  }

  /** Headers of a question by REST. */
  get headers() {
    return this.value ? { Authorization: `Bearer ${this.value}` } : {};
  }

  /** `listener(words)` hears when the server wants another token than there is; `words` are its own, "" where there is none yet. */
  onRefused(listener) {
    this.listeners.add(listener);
  }

  /** A question was refused that was asked with the token `shown`: one that was entered meanwhile has nothing to do with it. */
  refused(shown, words) {
    if (shown === this.value) for (const listener of this.listeners) listener(shown ? words : "");
  }
}

/** The one of the page. */
export const token = new Token();
