// @ts-check
/** What the copy buttons do: copy a reply's markdown, or the code of a block. */

/**
 * Copy what the button stands for, and show that in the button for a moment.
 * @param {any} button with data-copy "code" or "message", the latter with the address of its text in data-raw
 * @param {Record<string, string>} words the page's sentences
 * @returns {Promise<string>} what to tell the user
 */
export async function copy(button, words) {
  const { copy: kind, raw } = button.dataset;
  const label = button.querySelector("span");
  const name = label.textContent;
  try {
    await write(kind === "code" ? codeOf(button) : fetchText(raw));
  } catch {
    return words.uncopied;
  }
  if (name !== words.copied) {
    label.textContent = words.copied;
    setTimeout(() => { label.textContent = name; }, 2000);
  }
  return words.copied;
}

/** @param {Element} button @returns {string} */
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
