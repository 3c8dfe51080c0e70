// Commands that break the demo, for whoever wants to see what the page makes of it.

import { button, el, show } from "./dom.js";

/** [which of the simulated venues, the fault there, what it does]: every venue's simulator knows these. */
const FAULTS = [
  [1, "silent SYMBOL 30", "one symbol delivers nothing for 30 s"],
  [0, "silent-venue 20", "no data on any connection, pings go on"],
  [0, "skip SYMBOL", "lose a book frame: a sequence gap"],
  [1, "crossed SYMBOL 20", "a bid above the ask"],
  [0, "slow SYMBOL 30 --delay 5", "one symbol's data comes five seconds late"],
  [0, "maintenance 30", "announce a shutdown, then refuse"],
];

export class Faults {
  constructor(app) {
    this.app = app;
    this.lines = el("ul", { class: "commands" });
    this.element = el("div", { class: "panel", hidden: true }, el("h2", {}, "Break the demo, and watch"),
      el("p", {}, "From a terminal on the server's machine; ", el("code", {}, "twistd cryptodash fault --help"), " lists everything."),
      this.lines);
  }

  // Commands for the venues that are there, each with an instrument that it lists: of them [words, what it does].
  faultWords(venues) {
    const { catalogue } = this.app;
    const words = ([index, fault, what]) => {
      const venue = venues[index % venues.length];
      const listed = catalogue.find(venue, "spot", "BTC-USDT") ?? catalogue.all.find(({ exchange }) => exchange === venue);
      return fault.includes("SYMBOL") && !listed ? undefined : [`${venue} ${fault.replace("SYMBOL", listed?.symbol)}`, what];
    };
    return venues.length ? [...FAULTS.map(words).filter(Boolean), ["stop", "put everything back"]] : [];
  }

  // Several demos may run on a machine: the commands name the port of this one.
  draw(port) {
    const { catalogue, venues: { list } } = this.app;
    const venues = list.filter(({ source }) => source === "simulated").map(({ id }) => id);
    show(this.element, port !== undefined && venues.length > 0);
    const key = [port, catalogue.version, ...venues].join();
    if (port === undefined || key === this.key) return;
    this.key = key;
    const line = ([words, what]) => {
      const command = `twistd cryptodash fault --control-port ${port} ${words}`;
      const copy = button("copy", () => this.copy(command), { class: "small", "aria-label": `Copy: ${command}` });
      return el("li", {}, el("code", {}, command), copy, el("span", { class: "muted" }, what));
    };
    this.lines.replaceChildren(...this.faultWords(venues).map(line));
  }

  copy(text) {
    const done = navigator.clipboard?.writeText(text) ?? Promise.reject(new Error("no clipboard"));
    done.then(() => this.app.announce("copied"), () => this.app.notice(`This browser does not let the page copy. The command: ${text}`));
  }
}
