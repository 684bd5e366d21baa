// @ts-check
/** Measures how a stream arrives, and sends that along with the form that checks the proxy. */

const HELD_MS = 1000; // as in proxying.py: a busy browser may be so late once, a proxy is each time

const form = /** @type {HTMLFormElement} */ (document.querySelector("[data-probe]"));
const silence = /** @type {HTMLInputElement} */ (form.querySelector("[data-silence]"));
const status = /** @type {HTMLElement} */ (form.querySelector("[role=status]"));
const button = /** @type {HTMLButtonElement} */ (form.querySelector("button"));

/** @type {HTMLElement} */ (silence.parentElement).hidden = false;
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  status.textContent = status.dataset.says ?? "";
  const found = { address: location.href, ...(await measure(silence.checked)) };
  const again = found.held >= HELD_MS ? await measure(false) : found;
  if (again.held < found.held) found.held = again.held;
  for (const [name, value] of Object.entries(found)) {
    /** @type {HTMLInputElement} */ (form.elements.namedItem(name)).value = String(value);
  }
  form.submit();
});

/**
 * By how many milliseconds a tick came later than it was sent, as seen from the last one; what else the answer says.
 * @param {boolean} isSilent for a while @returns {Promise<any>}
 */
async function measure(isSilent) {
  /** @type {{ sent: number, arrived: number }[]} */
  const ticks = [];
  let text = "", cut = "1", server = "", encoding = "";
  try {
    const answer = await fetch(form.dataset.probe + (isSilent ? "&silence=1" : ""), { cache: "no-store" });
    if (!answer.ok) return {}; // the page is older than its ticket: the next one has another
    server = [answer.headers.get("server"), answer.headers.get("via")].join(" ");
    encoding = answer.headers.get("content-encoding") ?? "";
    const reader = /** @type {ReadableStream<Uint8Array>} */ (answer.body).getReader();
    const decoder = new TextDecoder();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      const events = (text + decoder.decode(part.value, { stream: true })).split("\n\n");
      text = /** @type {string} */ (events.pop());
      for (const event of events) {
        const { tick, of, milliseconds } = JSON.parse(event.replace("data: ", ""));
        ticks.push({ sent: milliseconds, arrived: performance.now() });
        if (tick === of) cut = "";
      }
    }
  } catch {
    // The stream broke: `cut` says so.
  }
  if (cut && !isSilent) return {}; // not by its silence
  const last = ticks.at(-1) ?? { sent: 0, arrived: 0 };
  const delays = ticks.map(({ sent, arrived }) => last.sent - sent - (last.arrived - arrived));
  return { held: Math.round(Math.max(0, ...delays)), cut, server, encoding };
}
