// The second line of the tape: what counts as large, whether it is heard, and whether other venues are mixed in.

import { button, el, setAttr, setText, show } from "./dom.js";

const TONE_HZ = 880;
const TONE_S = 0.12;

/** A short tone for a large trade. Off until somebody asks for it with a click: a browser allows no other. */
class Tone {
  get on() {
    return this.context?.state === "running";
  }

  toggle() {
    if (this.on) return this.context.suspend();
    this.context ??= new AudioContext();
    return this.context.resume();
  }

  play() {
    const { context } = this;
    const tone = new OscillatorNode(context, { frequency: TONE_HZ });
    const volume = new GainNode(context, { gain: 0.1 });
    tone.connect(volume).connect(context.destination);
    tone.start();
    tone.stop(context.currentTime + TONE_S);
  }
}

export class TapeTools {
  /** `changed()` hears of another threshold, `all(on)` whether all venues are wanted. */
  constructor(settings, { changed, all }) {
    this.settings = settings;
    this.tone = new Tone();
    this.isAll = false;
    const oninput = () => this.remember(Number(this.input.value));
    this.changed = changed;
    this.input = el("input", { type: "number", min: "0", step: "any", placeholder: "off", inputmode: "decimal", oninput });
    this.unit = el("span");
    this.sound = button("sound", () => this.tone.toggle().then(() => this.drawSound()), { "aria-pressed": "false", title: "A tone for each large trade" });
    this.all = button("all venues", () => all(!this.isAll), { "aria-pressed": "false", title: "The same market's trades of every venue, by time" });
    this.element = el("div", { class: "controls tape-tools", hidden: true }, el("label", {}, "large from ", this.input, " ", this.unit), this.sound, this.all);
    this.opener = button("\u22ef", () => this.open(this.element.hidden), { "aria-label": "More about trades", "aria-expanded": "false", title: "Large trades, sound, all venues" });
  }

  open(on) {
    show(this.element, on);
    setAttr(this.opener, "aria-expanded", String(on));
  }

  setMarket({ quote }) {
    this.quote = quote;
    setText(this.unit, quote);
    this.input.value = this.least || "";
  }

  /** Whether trades of all venues are mixed. */
  setAll(on) {
    this.isAll = on;
    setAttr(this.all, "aria-pressed", String(on));
  }

  /** The value in the quote currency from which a trade is large; 0: none is. */
  get least() {
    return this.settings.get("large")[this.quote] ?? 0;
  }

  remember(value) {
    const { [this.quote]: _, ...others } = this.settings.get("large");
    this.settings.set("large", value > 0 && Number.isFinite(value) ? { ...others, [this.quote]: value } : others);
    this.changed();
  }

  drawSound() {
    setAttr(this.sound, "aria-pressed", String(this.tone.on));
  }

  /** A large trade happened. */
  sounds() {
    if (this.tone.on) this.tone.play();
  }
}
