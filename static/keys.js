// @ts-check
/** The shortcuts: each presses the link or button that does the same. The dialog of all of them comes from the server. */

const handled = new WeakSet();

/** @type {any} */
let tools;

/** @param {any} given @param {any} event that asked for this module; later ones come here by themselves */
export default (given, event) => {
  if (!tools) document.addEventListener("keydown", onKey);
  tools = given;
  if (!handled.has(event)) onKey(event);
};

/** @param {any} event */
function onKey(event) {
  handled.add(event);
  const { key = "", code = "", target } = event;
  // In other scripts than Latin a letter is known by its place.
  const letter = key > "~" ? code.slice(-1) : key;
  const chord = `${+(event.ctrlKey || event.metaKey)}${+event.altKey}${+event.shiftKey}${letter.toLowerCase()}`;
  const action = actions[chord];
  if (!action || event.isComposing) return;
  if (key.startsWith("Arrow") && (target.value || (!event.altKey && target !== tools.box))) return;
  event.preventDefault();
  action();
}

/** By 0 or 1 for Ctrl or Cmd, for Alt and for Shift, then the key. @type {Record<string, () => any>} */
const actions = {
  "101o": () => press(".header__new"),
  "100k": () => press('.sidebar a[href*="/search"]'),
  "101c": () => press('.message--assistant [data-copy="message"]'),
  "000arrowup": () => press('.message--user .message__footer > a[href*="edit="]'),
  "010arrowup": () => step(-1),
  "010arrowdown": () => step(1),
  "001escape": () => tools.box?.focus(),
  "100/": show,
  "101/": show,
};

/** Press the last one of these. @param {string} selector */
function press(selector) {
  /** @type {HTMLElement | undefined} */ ([...document.querySelectorAll(selector)].at(-1))?.click();
}

/** Open the chat before or after the open one in the list. @param {number} by */
function step(by) {
  const links = /** @type {HTMLAnchorElement[]} */ ([...document.querySelectorAll("[data-group] a:first-child")]);
  const open = links.findIndex((link) => link.ariaCurrent);
  links[open < 0 && by < 0 ? links.length - 1 : open + by]?.click();
}

async function show() {
  let dialog = tools.find("dialog.shortcuts");
  if (!dialog) {
    tools.prepare("style");
    dialog = document.createElement("dialog");
    dialog.className = "menu shortcuts";
    dialog.setAttribute("aria-labelledby", "shortcuts-title");
    const { href } = tools.find('.sidebar a[href$="/settings"]');
    const response = await fetch(href.replace(/settings$/, "shortcuts"), { headers: { "X-Fragment": "1" } });
    if (!response.ok || tools.find("dialog.shortcuts")) return;
    dialog.append(tools.parse(await response.text()));
    document.body.append(dialog);
  }
  dialog.showModal();
}
