// Put into a page before its own scripts: notes when the server first said that a stream is in doubt (`saidOfPrice`: more of it than 24 h
// figures), and when each kind of mark of a doubt was first seen. Times are epoch ms, so that they can be held against those of other pages
// and processes.
(() => {
  const GOOD = ["live", "quiet", "connecting"];
  const PRICES = ["last", "bid", "ask"];
  const LINK_DOWN = ".pill:is(.silent, .waiting, .offline, .connecting)";
  const CHIPS = ".statusline a.chip.bad, .chips .chip:is(.warned, .bad, .unsure)";
  const CONTENT = "main :is(.untrusted:not(:has(.waiting)), .doubt, .doubtful, .state.bad, .left-out.warned)";

  const STILL_MS = 800;
  const TICK_MS = 100;

  // A loss of before that cannot be mended is told beside a good state, and for good.
  const isMarked = (each) => each.checkVisibility() && !/^(live|quiet);/.test(each.innerText);
  const shown = (selector) => [...document.querySelectorAll(selector)].find(isMarked);
  const words = (element) => (element?.innerText ?? "").trim().replace(/\s+/g, " ").slice(0, 120);
  const named = (element) => element && `${element.className}: ${words(element)}`;
  // A price alert has no class for it: it says so where the price would be.
  const unpriced = () => [...document.querySelectorAll(".alerts td.number")].find((cell) => cell.innerText === "not trusted");

  // A status may doubt some fields of a value only, and the composite leaves out venues by a rule of its own.
  const doubtOf = (type, { state, cause, fields = [], channel, excluded = [] }) => {
    if (type === "bbo" && excluded.length) return `bbo without ${excluded[0].exchange}: ${excluded[0].cause ?? excluded[0].state}`;
    if (type !== "status" || (GOOD.includes(state) && !fields.length)) return "";
    return [channel.channel_type, state, cause, fields.length && fields.length < 4 ? `(${fields.join(", ")})` : ""].filter(Boolean).join(" ");
  };

  // Whether more than 24 h figures are in doubt.
  const isOfPrice = (type, { state, fields = [] }) => type === "bbo" || !GOOD.includes(state) || fields.some((each) => PRICES.includes(each));

  const doubts = window.doubts = {
    first: {}, log: [], pauses: [], looks: 0, said: null, saidOfPrice: null,

    /** The marks that are seen now: {title, header, content}, each a text. */
    marks() {
      const found = { title: /^(DEMO )?! /.test(document.title) ? document.title : undefined };
      if (document.hidden) return found;
      return { ...found, header: named(shown(LINK_DOWN) ?? shown(CHIPS)), content: named(shown(CONTENT) ?? unpriced()) };
    },

    /** Forget what was noted. */
    reset() {
      Object.assign(doubts, { first: {}, log: [], pauses: [], looks: 0, said: null, saidOfPrice: null });
      doubts.look();
    },

    look() {
      doubts.looks += 1;
      for (const [kind, text] of Object.entries(doubts.marks())) {
        if (!text) continue;
        doubts.first[kind] ??= { at: Date.now(), text, phase: window.cryptodash?.state.phase };
        if (doubts.log.length < 50 && !doubts.log.some((each) => each.text === text)) doubts.log.push({ at: Date.now(), kind, text });
      }
    },
  };

  new MutationObserver(doubts.look).observe(document, { attributes: true, childList: true, characterData: true, subtree: true });

  let ticked = Date.now();
  setInterval(() => {
    const now = Date.now();
    if (!document.hidden && now - ticked > STILL_MS) doubts.pauses.push([ticked, now]);
    ticked = now;
  }, TICK_MS);

  const Plain = window.WebSocket;
  window.WebSocket = class extends Plain {
    constructor(...words) {
      super(...words);
      this.addEventListener("message", ({ data }) => {
        if (doubts.saidOfPrice || !/"(status|bbo)"/.test(data)) return;
        const { type, payload } = JSON.parse(data);
        const bad = doubtOf(type, payload);
        if (!bad) return;
        const said = { at: Date.now(), words: bad };
        doubts.said ??= said;
        if (isOfPrice(type, payload)) doubts.saidOfPrice = said;
      });
    }
  };
})();
