// What this browser remembers: favourites, looks, alerts. Storage may be refused or broken; the page then forgets, and works.

import { zoneKnown } from "./format.js";
import { KINDS } from "./rules.js";

const KEY = "cryptodash.1";
const CHOICES = { theme: ["system", "dark", "light"], palette: ["blue", "green", "red", "mono"] };
const FRESH = {
  favourites: [], theme: "system", palette: "blue", zone: "utc", shortcuts: true, hint: true, notify: false, sound: false, alerts: [], columns: [],
  fees: {}, large: {}, drawer: false,
};

/** The identity of an instrument in favourites and alerts: "binance/spot/BTC-USDT". */
export const idOf = ({ exchange, market_type: market, symbol }) => `${exchange}/${market}/${symbol}`;

// What another release or a hand has left there may be anything.
const soundAlert = (each) => typeof each?.exchange === "string" && typeof each.market === "string" && typeof each.symbol === "string"
  && Number.isFinite(each.level) && Object.hasOwn(KINDS, each.kind);

/** Whether a taker fee in percent can be one. */
export const soundFee = (percent) => Number.isFinite(percent) && percent >= 0 && percent <= 10;

function sound(name, value) {
  if (name === "fees") return Boolean(value) && Object.getPrototypeOf(value) === Object.prototype && Object.values(value).every(soundFee);
  if (CHOICES[name]) return CHOICES[name].includes(value);
  if (name === "alerts") return Array.isArray(value) && value.every(soundAlert);
  if (name === "favourites" || name === "columns") return Array.isArray(value) && value.every((each) => typeof each === "string");
  if (name === "large") return value !== null && typeof value === "object" && Object.values(value).every((each) => each > 0 && Number.isFinite(each));
  if (name === "zone") return typeof value === "string" && zoneKnown(value);
  return typeof value === typeof FRESH[name];
}

export class Settings {
  constructor() {
    this.listeners = new Set();
    this.urlZone = "";
    this.values = this.read();
    addEventListener("storage", ({ key }) => key === KEY && this.reread());
  }

  read() {
    const values = structuredClone(FRESH);
    try {
      const stored = JSON.parse(localStorage.getItem(KEY)) ?? {};
      for (const name of Object.keys(FRESH)) if (sound(name, stored[name])) values[name] = stored[name];
    } catch {
      // Unreadable: the defaults.
    }
    return values;
  }

  reread() {
    this.values = this.read();
    for (const name of Object.keys(FRESH)) this.tell(name);
  }

  get(name) {
    return this.values[name];
  }

  set(name, value) {
    this.values[name] = value;
    try {
      localStorage.setItem(KEY, JSON.stringify(this.values));
    } catch {
      // Storage full or refused: kept until the page is closed.
    }
    this.tell(name);
  }

  tell(name) {
    for (const listener of this.listeners) listener(name, this.values[name]);
  }

  /** `listener(name, value)` hears of every change; returns the function that ends it. */
  on(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** The zone in which times are shown; the URL beats what is stored. */
  get zone() {
    return this.urlZone || this.values.zone;
  }

  isFavourite(instrument) {
    return this.values.favourites.includes(idOf(instrument));
  }

  toggleFavourite(instrument) {
    const id = idOf(instrument);
    const { favourites } = this.values;
    this.set("favourites", favourites.includes(id) ? favourites.filter((each) => each !== id) : [...favourites, id]);
  }

  cycle(name) {
    const choices = CHOICES[name];
    this.set(name, choices[(choices.indexOf(this.values[name]) + 1) % choices.length]);
  }
}
