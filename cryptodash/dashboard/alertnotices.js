// How a fired alert is told: one line at the top of the page, aloud to a screen reader, outside of the page, by a sound.

import { button, el, setAttr, setText, show } from "./dom.js";

const LISTED = 20;
const TONES = [[660, 0], [880, 0.18]]; // Hz, s
const TONE_S = 0.16;
const VOLUME = 0.12;

/** Two short tones. A browser lets a page sound only after a click or a key, so that nothing is asked of it before. */
export class AlertSound {
  constructor(settings) {
    this.settings = settings;
    for (const type of ["pointerdown", "keydown"]) addEventListener(type, () => settings.get("sound") && this.wake(), true);
  }

  get isSupported() {
    return typeof AudioContext !== "undefined";
  }

  /** Whether a sound could be heard now. */
  get isReady() {
    return this.context?.state === "running";
  }

  wake() {
    if (!this.isSupported) return;
    this.context ??= new AudioContext();
    if (this.context.state === "suspended") this.context.resume();
  }

  play() {
    if (!this.settings.get("sound") || !this.context) return;
    const { context } = this;
    for (const [pitch, after] of TONES) {
      const tone = context.createOscillator();
      const gain = context.createGain();
      const at = context.currentTime + after;
      tone.frequency.value = pitch;
      gain.gain.setValueAtTime(VOLUME, at);
      gain.gain.linearRampToValueAtTime(0, at + TONE_S);
      tone.connect(gain).connect(context.destination);
      tone.start(at);
      tone.stop(at + TONE_S);
    }
  }
}

export class AlertNotices {
  constructor(app) {
    this.app = app;
    this.sound = new AlertSound(app.settings);
    this.told = [];
    this.counts = { fired: 0, off: 0 };
  }

  /** One more alert, in words; `isFired` or switched off. */
  tell(text, isFired) {
    this.told.unshift(text);
    this.told.length = Math.min(this.told.length, LISTED);
    this.counts[isFired ? "fired" : "off"] += 1;
    this.app.announce(text, "urgent");
    this.draw();
    this.sound.play();
    this.notify(text);
  }

  get count() {
    return this.counts.fired + this.counts.off;
  }

  make() {
    this.text = el("span");
    this.more = button("list", () => this.unfold(this.list.hidden), { "aria-controls": "alerts-told" });
    this.list = el("ul", { id: "alerts-told", hidden: true });
    const go = button("Show", () => {
      this.clear();
      this.app.navigate({ view: "alerts" });
    });
    const away = button("\u00d7", () => this.clear(), { class: "plain", "aria-label": "Dismiss" });
    const line = el("div", { class: "banner-line" }, this.text, go, this.more, away);
    return el("div", { class: "banner told", "data-id": "alerts" }, line, this.list);
  }

  // However many there are, one line: what is below does not move away.
  draw() {
    this.element ??= this.make();
    const { fired, off } = this.counts;
    const parts = [fired && `${fired} alert${fired > 1 ? "s" : ""} fired`, off && `${off} switched off`];
    setText(this.text, this.count > 1 ? parts.filter(Boolean).join(", ") : this.told[0]);
    show(this.more, this.count > 1);
    const left = this.count - this.told.length;
    this.list.replaceChildren(...this.told.map((each) => el("li", {}, each)), ...(left ? [el("li", {}, `and ${left} before`)] : []));
    this.unfold(this.count > 1 && !this.list.hidden);
    if (!this.element.isConnected) document.getElementById("banners").append(this.element);
  }

  unfold(on) {
    show(this.list, on);
    setAttr(this.more, "aria-expanded", String(on));
  }

  clear() {
    this.told = [];
    this.counts = { fired: 0, off: 0 };
    this.unfold(false);
    this.element.remove();
  }

  // Some browsers have the class and refuse to make one.
  notify(text) {
    if (!this.app.settings.get("notify") || typeof Notification === "undefined" || Notification.permission !== "granted") return;
    try {
      new Notification("cryptodash", { body: text, tag: text });
    } catch {
      this.app.settings.set("notify", false);
    }
  }
}
