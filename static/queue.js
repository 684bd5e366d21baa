// @ts-check
/** The message that waits for the end of an answer: edited and taken back in place, and shown as sent when it is. */

const FIRST_MS = 150; // the server sends it right after it has saved the answer
const LAST_MS = 5000;

/** @type {any} the element that is watched */
let watched = null;

/** @param {any} tools */
export default async (tools) => {
  const item = tools.find(".queued");
  if (!item) return;
  if (item.onsubmit === null) item.onsubmit = (/** @type {any} */ event) => submit(tools, item, event);
  if (watched === item || tools.streams.size || "held" in item.dataset) return;
  watched = item;
  for (let pause = FIRST_MS; item.isConnected; pause = Math.min(2 * pause, LAST_MS)) {
    await new Promise((resolve) => { setTimeout(resolve, pause); });
    if (await isSettled(tools, item).catch(() => false)) break;
  }
  watched = null;
};

/** Ask what has become of it, and show that. @param {any} tools @param {any} item @returns {Promise<boolean>} */
async function isSettled(tools, item) {
  if (item.contains(document.activeElement) && item.querySelector("details[open]")) return false; // being edited
  const response = await fetch(item.dataset.url, { headers: { "X-Fragment": "1" } });
  if (!response.ok || !item.isConnected) return !item.isConnected;
  if (response.status === 204) item.remove();
  if (response.status === 204 || (response.status === 202 && !(await isHeld(tools, item, response)))) {
    return !item.isConnected;
  }
  if (response.status === 201) tools.accept(item, tools.parse(await response.text()), response.headers);
  return true;
}

/** @param {any} tools @param {any} item @param {Response} response */
async function isHeld(tools, item, response) {
  const now = tools.parse(await response.text());
  if (!tools.find("[data-held]", now)) return false;
  show(tools, item, now);
  return true;
}

/** @param {any} tools @param {any} item @param {DocumentFragment} now */
function show(tools, item, now) {
  item.replaceWith(now);
  tools.load("queue");
}

/** @param {any} tools @param {any} item @param {any} event */
async function submit(tools, item, event) {
  const form = event.target;
  if (form.matches('[action$="/send"]')) return; // a page says what is wrong
  event.preventDefault();
  const response = await tools.post(form);
  const text = (await response?.text().catch(() => "")) ?? "";
  tools.complain(response?.ok ? "" : text || tools.words.offline);
  if (!response?.ok) return tools.load("queue");
  if (response.status !== 200) return show(tools, item, tools.parse(text));
  item.remove();
  tools.box.value = [text, tools.box.value].filter(Boolean).join("\n\n");
  tools.onInput();
  tools.focusBox();
}
