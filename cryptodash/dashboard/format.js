// Numbers, ages and times as text. Everything is pure; a value that is not known is an en dash, never 0.

export const DASH = "\u2013";
export const MINUS = "\u2212";

const UNITS = ["", "K", "M", "B", "T"];
const CAUSES = {
  disconnected: "venue disconnected", maintenance: "venue maintenance", halted: "trading halted", banned: "venue bans us for now",
  blocked: "venue blocks this place", capacity: "no capacity left", backend: "no word of it from the server's other process", rejected: "rejected by the venue",
};

const known = (value) => typeof value === "number" && Number.isFinite(value);

/** Thousands separated by commas in a text of digits. */
function group(digits) {
  if (digits.length < 4) return digits;
  const head = digits.length % 3;
  const parts = head ? [digits.slice(0, head)] : [];
  for (let at = head; at < digits.length; at += 3) parts.push(digits.slice(at, at + 3));
  return parts.join(",");
}

// Without a catalogue the decimals are not known: then all that the number holds, without an exponent.
function digitsOf(value, decimals) {
  return decimals === undefined ? value.toFixed(12).replace(/\.?0+$/, "") : value.toFixed(decimals);
}

/** A price with exactly `decimals` digits after the point: 60001.5, 2 -> "60,001.50". */
export function price(value, decimals) {
  if (!known(value)) return DASH;
  const [whole, fraction] = digitsOf(Math.abs(value), decimals).split(".");
  return `${value < 0 ? MINUS : ""}${group(whole)}${fraction === undefined ? "" : `.${fraction}`}`;
}

/** A quantity with the decimals of the step size. */
export const size = price;

// The decimals with which a positive number shows at least `digits` of its own digits, none beyond a double's.
const decimalsFor = (amount, digits) => Math.min(12, Math.max(0, digits - 1 - Math.floor(Math.log10(amount))));

/** A large figure in short, four digits of it: 12_345_678 -> "12.35M". `round` down (Math.floor) what is a lower bound. */
export function compact(value, round = Math.round) {
  if (!known(value)) return DASH;
  let amount = Math.abs(value);
  if (amount === 0) return "0";
  let unit = 0;
  for (; amount >= (round === Math.floor ? 1000 : 999.95) && unit < UNITS.length - 1; unit += 1) amount /= 1000;
  const decimals = Math.min(decimalsFor(amount, 4), 12);
  const whole = round(amount * 10 ** decimals) / 10 ** decimals;
  return `${value < 0 ? MINUS : ""}${price(whole, Math.min(decimals, whole >= 1 ? decimalsFor(whole, 4) : decimals))}${UNITS[unit]}`;
}

/** The mark of an axis: as `compact`, without zeros that say nothing. */
export const mark = (value) => compact(value).replace(/(\.\d*?)0+(?=\D?$)/, "$1").replace(/\.(?=\D?$)/, "");

const MILLION = 1e6;

/** A quantity that fits a narrow column: exact below a million, from there on in short. */
export const amount = (value, decimals, round) => (Math.abs(value) >= MILLION ? compact(value, round) : price(value, decimals));

/** A number with its sign always written; nothing before a rounded zero. */
export function signed(value, decimals = 2) {
  if (!known(value)) return DASH;
  const text = price(Math.abs(value), decimals);
  if (!/[1-9]/.test(text)) return text;
  return `${value > 0 ? "+" : MINUS}${text}`;
}

/** A change in percent: 0.506 -> "+0.51 %". */
export const signedPercent = (value) => (known(value) ? `${signed(value, 2)} %` : DASH);

/** Basis points without the unit (it stands in the heading): two decimals, more where they would hide what there is: 0.0834 -> "0.083". */
export const bps = (value) => price(value, value ? Math.max(2, decimalsFor(Math.abs(value), 2)) : 2);

/** How long ago: "0.3 s", "12 s", "4 m", "2 h", "3 d". */
export function age(ms) {
  if (!known(ms)) return DASH;
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} m`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}

/** The decimals of a step such as "0.00001" or "0.25" (as the catalogue writes it); undefined for none. */
export function decimalsOf(step) {
  if (step === undefined || step === null) return undefined;
  const fraction = String(step).split(".")[1] ?? "";
  return fraction.replace(/0+$/, "").length;
}

const formats = new Map();

function formatter(zone, parts) {
  const key = `${zone} ${parts}`;
  if (!formats.has(key)) {
    const timeZone = zone === "utc" ? "UTC" : zone === "local" ? undefined : zone;
    const two = "2-digit";
    const date = { year: "numeric", month: two, day: two };
    const clock = { hour: two, minute: two, hourCycle: "h23", ...(parts.includes("s") ? { second: two } : {}) };
    formats.set(key, new Intl.DateTimeFormat("en-CA", { timeZone, ...(parts.includes("d") ? date : {}), ...(parts.includes("t") ? clock : {}) }));
  }
  return formats.get(key);
}

/** The time of day of an epoch in ms: "10:22" or, with seconds, "10:22:10". `zone` is "utc", "local" or an IANA name. */
export const time = (ms, zone = "utc", withSeconds = true) => (known(ms) ? formatter(zone, withSeconds ? "ts" : "t").format(ms) : DASH);

/** The date: "2026-01-31". */
export const date = (ms, zone = "utc") => (known(ms) ? formatter(zone, "d").format(ms) : DASH);

/** ISO 8601 in UTC, for tooltips and exports. */
export const iso = (ms) => (known(ms) ? new Date(ms).toISOString() : DASH);

/** What is shown as the zone's name: "UTC", "local" or the IANA name. */
export const zoneName = (zone) => (zone === "utc" ? "UTC" : zone);

/** Whether `zone` can be shown on this machine. */
export function zoneKnown(zone) {
  try {
    return zone === "utc" || zone === "local" || Boolean(new Intl.DateTimeFormat("en", { timeZone: zone }));
  } catch {
    return false;
  }
}

/** A cause of the wire in words. */
export const causeWords = (cause) => CAUSES[cause] ?? cause;

/** A status in words: "live", "stale: silent (bid, ask)"; the parts are named where they are not simply all. */
export function stateWords({ state, cause, fields }) {
  const why = cause ? `: ${causeWords(cause)}` : "";
  return `${state}${why}${fields && fields.length && fields.length < 4 ? ` (${fields.join(", ")})` : ""}`;
}
