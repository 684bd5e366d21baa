// @ts-check
/** What the page says while a reply keeps it waiting: for how long, and that the connection is lost. */

const SILENT_SECONDS = 3; // a shorter wait is not counted
const BACK_TIME = 6000; // ms that the end of a loss is shown

const format = new Intl.NumberFormat(document.documentElement.lang, { style: "unit", unit: "second", unitDisplay: "narrow" });

/** @type {WeakMap<HTMLElement, { since: number, timer: number }>} the waits that are counted */
const waits = new WeakMap();

/**
 * Count the seconds behind the sentence of a wait. Without a sentence the wait is over.
 * @param {HTMLElement} state the sentence's element @param {number} seconds that it has lasted already
 */
export function count(state, seconds) {
  const sentence = state.textContent;
  const { since = Date.now() - seconds * 1000, timer = 0 } = waits.get(state) ?? {};
  clearInterval(timer);
  if (!sentence) return waits.delete(state);
  const show = () => {
    if (!state.isConnected) return clearInterval(waits.get(state)?.timer);
    const passed = Math.floor((Date.now() - since) / 1000);
    if (passed > SILENT_SECONDS) state.textContent = `${sentence} ${format.format(passed)}`;
  };
  waits.set(state, { since, timer: window.setInterval(show, 1000) });
  show();
}

/** @type {Set<object>} the replies whose connection is lost */
const lost = new Set();
const bar = document.createElement("p");
let hiding = 0;

bar.className = "problem lost";
bar.role = "alert";
bar.hidden = true;
document.querySelector(".dock")?.prepend(bar);

/**
 * Show and say that a reply's connection is lost; with an empty sentence, that it is back.
 * @param {object} reply @param {string} sentence @param {string} back the sentence for the end
 */
export function tell(reply, sentence, back) {
  if (sentence) lost.add(reply);
  else if (!lost.delete(reply) || lost.size) return;
  sentence ||= back;
  clearTimeout(hiding);
  bar.hidden = false;
  if (bar.textContent !== sentence) bar.textContent = sentence; // said once, however often it is tried
  bar.classList.toggle("lost--over", !lost.size);
  if (!lost.size) hiding = window.setTimeout(() => { bar.hidden = true; bar.textContent = ""; }, BACK_TIME);
}
