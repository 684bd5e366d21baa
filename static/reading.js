// @ts-check
/** What a reader of answers does: copies, wraps and saves code; times in the reader's zone. Loaded with the first message. */

/** @type {any} */
let tools;

/** Called again after each answer. @param {any} given @param {any} [pressed] a copy button, before this was loaded */
export default (given, pressed) => {
  tools = given;
  tools.copy = copy;
  if (pressed) copy(pressed);
  tools.prepare("style");
  for (const time of document.querySelectorAll("time.message__time:not([title])")) tellHere(time);
  const named = tools.find("[data-wrap]");
  for (const button of named ? document.querySelectorAll("figure.code figcaption > [data-copy]") : []) {
    if (!button.closest("[data-stream]")) addWays(button, named.dataset);
  }
};

/** @param {any} time in UTC */
function tellHere(time) {
  time.title = time.textContent;
  time.textContent = new Date(time.dateTime).toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
}

/** @param {any} copy button of a code block @param {any} names of the buttons to add */
function addWays(copy, { wrap, save }) {
  const ways = document.createElement("span");
  ways.className = "code__ways";
  const figure = copy.closest("figure");
  copy.replaceWith(ways);
  for (const [name, press] of /** @type {[string, (button: any) => void][]} */ ([
    [wrap, (button) => { button.ariaPressed = String(figure.classList.toggle("code--wrap")); }],
    [save, () => download(figure)],
  ])) {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: copy.className, textContent: name, onclick: () => press(button) });
    ways.append(button);
  }
  ways.append(copy);
}

/** @type {Record<string, string>} */
const ENDINGS = {
  python: "py", javascript: "js", typescript: "ts", bash: "sh", shell: "sh", ruby: "rb", rust: "rs", "c++": "cpp",
  "c#": "cs", kotlin: "kt", markdown: "md", yaml: "yml", text: "txt", haskell: "hs", perl: "pl", golang: "go",
};

/** @param {any} figure */
function download(figure) {
  const label = (figure.querySelector("figcaption").firstChild?.textContent ?? "").trim();
  const plain = /^[\w+#-]{1,20}$/.test(label) ? label.toLowerCase() : "";
  const name = /^[\w.-]+\.\w+$/.test(label) ? label : `code.${ENDINGS[plain] ?? (/^[a-z0-9]+$/.test(plain) ? plain : "txt")}`;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([figure.querySelector("code").textContent], { type: "text/plain" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** @param {any} button */
async function copy(button) {
  const { raw } = button.dataset; // of a whole message
  const { words, say } = tools;
  const label = button.querySelector("span");
  const name = label.textContent;
  try {
    await write(raw ? fetchText(raw) : codeOf(button));
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
