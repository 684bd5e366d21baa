// @ts-check
/** What a reader of answers does: copies them and their code. Loaded with the first message. */

/** @type {any} */
let tools;

/** @param {any} given */
export default (given) => {
  if (tools) return;
  tools = given;
  document.addEventListener("click", onClick);
};

/** @param {any} event */
async function onClick(event) {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const { copy, raw } = button.dataset;
  const { words, say } = tools;
  const label = button.querySelector("span");
  const name = label.textContent;
  try {
    await write(copy === "code" ? codeOf(button) : fetchText(raw));
  } catch {
    return say(words.uncopied);
  }
  say(words.copied);
  if (name === words.copied) return;
  label.textContent = words.copied;
  setTimeout(() => { label.textContent = name; }, 2000);
}

/** @param {Element} button @returns {string} the code of its figure */
function codeOf(button) {
  return button.closest("figure")?.querySelector("code")?.textContent?.replace(/\n$/, "") ?? "";
}

/** @param {string} url */
async function fetchText(url) {
  const response = await fetch(url);
  if (!response.ok) throw response;
  return response.text();
}

/** @param {string | Promise<string>} text a promise, as some browsers copy only during the click */
async function write(text) {
  if (navigator.clipboard && window.ClipboardItem) {
    const blob = Promise.resolve(text).then((value) => new Blob([value], { type: "text/plain" }));
    return navigator.clipboard.write([new ClipboardItem({ "text/plain": blob })]);
  }
  const held = /** @type {any} */ (document.activeElement);
  const area = document.createElement("textarea"); // plain http has no clipboard API
  area.className = "visually-hidden";
  area.value = await text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  held?.focus({ preventScroll: true });
  if (!done) throw area;
}
