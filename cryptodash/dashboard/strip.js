// The last hour of one stream as a strip: by height and by words, so that colour is never the only sign.

import { el, setAttr, setClass, setText } from "./dom.js";
import { causeWords } from "./format.js";
import { CLOCK } from "./panel.js";

const HOUR_S = 3600;
const HEIGHT = 14;
/** Least seconds that trouble is drawn as: a pixel of a strip of 120. */
const LEAST_S = 30;
/** [class, height, states]; the troubled ones are drawn over the others. */
const SHAPES = [
  ["live", 4, ["live"]],
  ["quiet", 4, ["quiet"]],
  ["resyncing", 9, ["resyncing"]],
  ["down", HEIGHT, ["connecting", "closed"]],
  ["stale", HEIGHT, ["stale"]],
];
const GOOD = ["live", "quiet"];
const LOSSES = {
  trades_missing: "trades are missing",
  trades_unproven: "trades may be missing",
  trades_unreadable: "trades could not be read",
  candles_missing: "candles are missing",
};

/** What was lost for good, in words. */
export const lossWords = (loss) => `degraded: ${LOSSES[loss] ?? loss}`;

/** Runs [{from, to, state, cause}] of the hour before `end` (ms) as [{state, cause, begin, seconds}], `begin` in seconds. */
export function runsOf(history, end) {
  return history.map(({ from, to, state, cause }) => {
    const begin = Math.max(0, HOUR_S - (end - Date.parse(from)) / 1000);
    const until = to === undefined ? HOUR_S : Math.max(0, HOUR_S - (end - Date.parse(to)) / 1000);
    return { state, cause, begin, seconds: Math.max(0, until - begin) };
  }).filter(({ begin, seconds }) => begin < HOUR_S && (seconds > 0 || begin > 0));
}

/** The path of each shape, in a box of an hour's seconds by HEIGHT. */
export function pathsOf(runs) {
  return SHAPES.map(([, height, states]) => runs.filter(({ state }) => states.includes(state)).map(({ state, begin, seconds }) => {
    const width = GOOD.includes(state) ? seconds : Math.max(seconds, LEAST_S);
    return `M${Math.min(begin, HOUR_S - width).toFixed(0)} ${HEIGHT - height}h${width.toFixed(0)}v${height}h-${width.toFixed(0)}z`;
  }).join(""));
}

/** [share of the hour that was live or quiet, in words; the whole hour in words, with `ended`: " until 10:22:10"]. */
export function wordsOf(runs, ended = "") {
  const sums = new Map();
  let all = 0;
  for (const { state, cause, seconds } of runs) {
    const name = cause ? `${state} (${causeWords(cause)})` : state;
    sums.set(name, (sums.get(name) ?? 0) + seconds);
    all += seconds;
  }
  if (!all) return ["", "nothing known of the last hour"];
  const percent = (seconds) => {
    const share = (100 * seconds) / all;
    // Never "100 %" where something was wrong, nor "0.0 %" where there was anything.
    return share < 100 && share > 99.9 ? "> 99.9 %" : share > 0 && share < 0.1 ? "< 0.1 %" : `${share.toFixed(share === 100 ? 0 : 1)} %`;
  };
  const good = runs.filter(({ state }) => GOOD.includes(state)).reduce((sum, { seconds }) => sum + seconds, 0);
  const parts = [...sums].sort(([, a], [, b]) => b - a).map(([name, seconds]) => `${name} ${percent(seconds)}`);
  const minutes = Math.max(1, Math.round(all / 60));
  return [percent(good), `last ${minutes === 1 ? "minute" : `${minutes} minutes`}${ended}: ${parts.join(", ")}`];
}

/** The cell's content. */
export class Strip {
  constructor() {
    const box = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    this.paths = SHAPES.map(([name]) => {
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      setAttr(path, "class", name);
      return path;
    });
    for (const [name, value] of Object.entries({ viewBox: `0 0 ${HOUR_S} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true", class: "strip" })) {
      setAttr(box, name, value);
    }
    box.append(...this.paths);
    this.share = el("span", { class: "share", "aria-hidden": "true" });
    this.words = el("span", { class: "unseen" });
    this.element = el("span", { class: "strip-cell" }, box, this.share, this.words);
  }

  /** `end` is when the history was read (ms), `until` that time in words; `old` its age in words once it is too old to be believed. */
  draw(history, end, until = "", old = "") {
    const runs = runsOf(history, end);
    const [share, words] = wordsOf(runs, `${until && ` until ${until}`}${old && `, ${old} ago`}`);
    pathsOf(runs).forEach((path, index) => setAttr(this.paths[index], "d", path));
    setText(this.share, share && old ? `${CLOCK} ${old}` : share);
    setText(this.words, words);
    setAttr(this.element, "title", words);
    setClass(this.element, old ? "strip-cell untrusted" : "strip-cell");
  }
}
