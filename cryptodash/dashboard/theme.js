// How the page looks: the theme and palette that are remembered, and light colours on paper.

const LIGHT = "(prefers-color-scheme: light)";

export class Theme {
  constructor(app) {
    this.app = app;
    this.onPaper = false;
  }

  start() {
    this.look();
    this.app.settings.on((name) => (name === "theme" || name === "palette") && this.look());
    matchMedia(LIGHT).addEventListener("change", () => this.look());
    addEventListener("beforeprint", () => this.print(true));
    addEventListener("afterprint", () => this.print(false));
  }

  // The colours are read from the style sheet by what is drawn on canvas: it hears of every change.
  look() {
    const { settings, scheduler } = this.app;
    document.documentElement.dataset.theme = this.onPaper ? "light" : settings.get("theme");
    document.documentElement.dataset.palette = settings.get("palette");
    document.dispatchEvent(new Event("themechange"));
    scheduler.once();
  }

  // What is printed is what is drawn when this returns.
  print(on) {
    this.onPaper = on;
    this.look();
    this.app.scheduler.flush();
  }

  /** "light" or "dark": what is shown now. */
  get shown() {
    const theme = this.app.settings.get("theme");
    return theme !== "system" ? theme : matchMedia(LIGHT).matches ? "light" : "dark";
  }

  /** The next theme that looks other than what is shown now. */
  next() {
    const { settings } = this.app;
    const before = this.shown;
    do settings.cycle("theme"); while (this.shown === before);
    this.app.announce(`theme ${settings.get("theme")}`);
  }
}
