// Questions to a page that take more than a line: an object of functions, evaluated in the page by `Page.probe`.
({
  /** Elements that reach beyond the right edge of the screen and are not inside something that scrolls or clips. */
  wider() {
    const clips = (element) => {
      for (let up = element.parentElement; up && up !== document.body; up = up.parentElement) if (getComputedStyle(up).overflowX !== "visible") return true;
      return false;
    };
    const found = [...document.querySelectorAll("body *")].filter((each) => each.getBoundingClientRect().right > innerWidth + 1 && !clips(each));
    const page = document.documentElement.scrollWidth;
    return page <= innerWidth ? [] : [`${page} > ${innerWidth}`, ...found.slice(0, 5).map((each) => each.outerHTML.slice(0, 120))];
  },

  /** Texts on the screen with a contrast below 4.5:1 to what is painted behind them. */
  poorContrast() {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgba = (text) => {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = text;
      canvas.fillRect(0, 0, 1, 1);
      return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const over = (front, back) => front.slice(0, 3).map((value, at) => (value * front[3] + back[at] * (255 - front[3])) / 255);
    const linear = (value) => (value / 255 <= 0.03928 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
    const light = ([red, green, blue]) => 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
    const behind = (element) => {
      const layers = [];
      for (let up = element; up; up = up.parentElement) layers.push(rgba(getComputedStyle(up).backgroundColor));
      return layers.reduceRight((back, front) => over(front, back), [255, 255, 255]);
    };
    const poor = new Set();
    for (const each of document.querySelectorAll("body *")) {
      const own = [...each.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
      const seen = each.checkVisibility({ visibilityProperty: true, opacityProperty: true });
      if (!own || !seen || each.closest(".unseen, .skip, [aria-hidden=true], :disabled, option")) continue;
      const back = behind(each);
      const [more, less] = [light(over(rgba(getComputedStyle(each).color), back)), light(back)].sort((a, b) => b - a);
      const ratio = (more + 0.05) / (less + 0.05);
      if (ratio < 4.45) poor.add(`${each.tagName}.${each.className} "${each.textContent.trim().slice(0, 20)}" ${ratio.toFixed(2)}`);
    }
    return [...poor].slice(0, 8);
  },

  /** Live regions that hold a number with a point: prices are never read out by themselves. */
  loud() {
    const regions = document.querySelectorAll("[aria-live]:not([aria-live=off]), [role=status], [role=alert], [role=log], output");
    return [...regions].map((each) => each.textContent).filter((text) => /\d[.]\d/.test(text));
  },

  /** Tables without a caption or a name, and heads without a scope. */
  poorTables() {
    const nameless = [...document.querySelectorAll("main table")].filter((each) => !each.caption && !each.ariaLabel && !each.getAttribute("aria-labelledby"));
    return [...nameless, ...document.querySelectorAll("main thead th:not([scope])")].map((each) => each.outerHTML.slice(0, 120));
  },

  /** What has the focus, and whether that can be seen. */
  focus() {
    const it = document.activeElement;
    if (it === document.body) return ["body", true];
    const { outlineStyle, boxShadow } = getComputedStyle(it);
    const box = it.getBoundingClientRect();
    return [it.outerHTML.slice(0, 90), box.width > 0 && box.bottom > 0 && (outlineStyle !== "none" || boxShadow !== "none")];
  },

  /** The ladder as it is drawn, sizes that are shown in short by what their titles say. */
  ladder() {
    const rows = (side) => [...document.querySelectorAll(`.ladder tr.${side}`)].filter((row) => !row.hidden)
      .map((row) => [...row.cells].map((cell) => cell.title || cell.textContent.trim())).filter(([price]) => price);
    const balance = [...document.querySelectorAll(".balance > span:not(.share)")].map((each) => each.textContent);
    balance.push(new DOMMatrix(getComputedStyle(document.querySelector(".share .bar")).transform).a);
    return { bids: rows("bid"), asks: rows("ask").reverse(), spread: document.querySelector(".ladder .gap").textContent.trim(), balance };
  },

  /** Place and size of everything in the ladder, as one text. */
  boxes() {
    return [...document.querySelectorAll(".ladder tr, .ladder td")].map((each) => {
      const { x, y, width, height } = each.getBoundingClientRect();
      return [x, y, width, height].map(Math.round).join();
    }).join(" ");
  },

  /** The texts of every row of a table body that is shown. */
  rows(selector) {
    const shown = [...document.querySelectorAll(`${selector} tbody tr`)].filter((row) => row.checkVisibility());
    return shown.map((row) => [...row.cells].map((cell) => cell.textContent.trim()));
  },
})
