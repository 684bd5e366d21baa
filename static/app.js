// @ts-check
/**
 * The script of the chat page, in the order a message travels: written, sent, followed, stopped, read, copied.
 * Every form works without it. HTML comes only from our own server, and only through `parse`.
 */

/** @typedef {["a" | "+" | "=", number, number, string] | ["x", number]} Patch */

const { user = "", words: json = "" } = document.body.dataset;
const words = JSON.parse(json);
const composer = find(".composer");
const box = find("#text");
const sendButton = find("[data-send]");
const stopButton = find("[data-stop]");
const jumpButton = find(".jump");
const problem = find(".problem");
const coarse = matchMedia("(pointer: coarse)");
const HIDDEN_LIMIT = 20_000;
const LOAD_PAUSE = 20_000;
const WATCH_DELAY = 500; // the first view comes first
const NEAR = 64; // px from the end that count as "at the end"

/** @type {Map<HTMLElement, { wake: () => void, doze: () => void, close: () => void }>} the running replies */
const streams = new Map();

/* ---- helpers ---- */

/** @param {string} selector @param {ParentNode} within @returns {any} the first match, or null */
function find(selector, within = document) {
  return within.querySelector(selector);
}

const rules = { createHTML: (/** @type {string} */ html) => html };
const policy = /** @type {any} */ (window).trustedTypes?.createPolicy("lockchat", rules) ?? rules;

/** @param {string} html @returns {DocumentFragment} with copy buttons added */
function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = policy.createHTML(html);
  addCopyButtons(template.content);
  return template.content;
}

/** @param {string} id of a template @returns {any} its element */
function copyOf(id) {
  return document.importNode(find(id).content.firstElementChild, true);
}

let sayTimer = 0;

/** @param {string} sentence for screen readers; it goes again, as it is soon out of date */
function say(sentence) {
  const status = find("#status");
  const write = (text = "") => { status.textContent = text; };
  write();
  clearTimeout(sayTimer);
  sayTimer = window.setTimeout(() => {
    write(sentence);
    sayTimer = window.setTimeout(write, 9000);
  }, 60);
}

/** @param {string} sentence "" hides it */
function complain(sentence) {
  problem.textContent = sentence;
  problem.hidden = !sentence;
}

/** @param {HTMLFormElement} form @param {string} [url] @returns {Promise<Response | null>} null if the network failed */
function post(form, url = form.action) {
  const body = new URLSearchParams(/** @type {any} */ (new FormData(form)));
  return fetch(url, { method: "POST", body, headers: { "X-Fragment": "1" } }).catch(() => null);
}

/** @returns {string} 128 random bits; randomUUID is absent on plain http */
function freshKey() {
  return crypto.getRandomValues(new Uint32Array(4)).join("-");
}

const /** @type {Record<string, string>} */ queries = {};
const /** @type {Record<string, number>} */ retries = {};

/** Fetch a module. After a failure it gets a new address: browsers remember that the old one failed. @param {string} name */
function fetchModule(name) {
  return import(`./${name}.js${queries[name] ?? ""}`).catch((error) => {
    queries[name] = `?${Date.now()}`;
    throw error;
  });
}

/** Load a module when it is first needed, and call it. @param {string} name @param {any} [argument] */
async function load(name, argument) {
  return (await fetchModule(name)).default(tools, argument);
}

/**
 * Load and call a module that nobody waits for. Without a connection it is tried again later.
 * @param {string} name @param {(result: any) => void} [use]
 */
function prepare(name, use = () => {}) {
  load(name).then(use, () => {
    clearTimeout(retries[name]);
    retries[name] = window.setTimeout(prepare, LOAD_PAUSE, name, use);
  });
}

function focusBox() {
  (coarse.matches ? sendButton : box).focus({ preventScroll: true }); // focus on the box would open a phone's keyboard
}

/* ---- written: the box grows, Enter sends, a draft is kept ---- */

let sending = ""; // sent but not yet acknowledged: still a draft
let draftTimer = 0;
let place = location.pathname; // of the text in the box; Back changes the address first
const drafts = `draft:${user}:`;
const draftKey = () => drafts + place;

function keepDraft() {
  clearTimeout(draftTimer);
  writeDraft(draftKey(), [sending, box.value].filter(Boolean).join("\n\n"));
}

/** @param {string} key @param {string} draft "" deletes it */
function writeDraft(key, draft) {
  try {
    if (draft) localStorage[key] = draft;
    else delete localStorage[key];
  } catch { /* no storage, no drafts */ }
}

function restoreDraft() {
  try {
    for (const key of Object.keys(localStorage)) if (/^draft:/.test(key) && !key.startsWith(drafts)) delete localStorage[key];
    box.value ||= localStorage[draftKey()] ?? "";
    if (localStorage[`${draftKey()}#`]) tune();
  } catch { /* no storage, no drafts */ }
  grow();
}

/** Keep what is typed as settings, and show it. */
function tune() {
  prepare("tuning");
}

function grow() {
  if (CSS.supports("field-sizing", "content")) return;
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight}px`;
}

function onInput() {
  grow();
  clearTimeout(draftTimer);
  draftTimer = window.setTimeout(keepDraft, 300);
}

/** @param {any} event of the box or an edited message */
function onBoxKey(event) {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
  if (coarse.matches && !event.ctrlKey && !event.metaKey) return;
  event.preventDefault();
  event.target.form.requestSubmit();
}

/* ---- sent: the question appears at once, then the server's HTML replaces it ---- */

let unacknowledged = ""; // the same text goes with the same key, so it is stored once

/** @param {any} event */
function onSubmit(event) {
  if (event.submitter?.hasAttribute("formaction")) { // Retry: a plain form, and the text in the box stays here
    box.disabled = true;
    return setTimeout(() => { box.disabled = false; });
  }
  event.preventDefault();
  send();
}

async function send() {
  const text = box.value.trim();
  if (sending || !text) return;
  const draft = draftKey();
  fetchModule("follow").catch(() => {}); // meanwhile
  if (text !== unacknowledged) fill("key", freshKey());
  unacknowledged = sending = text;
  const answer = post(composer, streams.size ? composer.action.replace(/messages$/, "queue") : composer.action);
  const question = copyOf("#question");
  find(".message__body", question).textContent = text;
  find(".log").append(question);
  box.value = "";
  grow();
  complain("");
  toEnd();
  focusBox();

  const response = await answer;
  const html = await response?.text().catch(() => null);
  sending = "";
  if (response?.ok && html) {
    unacknowledged = "";
    writeDraft(draft, "");
    writeDraft(`${draft}#`, "");
    accept(question, parse(html), response.headers);
    keepDraft(); // the text typed meanwhile, perhaps under a new address
  } else {
    question.remove();
    box.value = [text, box.value].filter(Boolean).join("\n\n");
    grow();
    complain((response?.headers.get("Content-Type")?.startsWith("text/plain") && html) || words.offline);
    keepDraft();
  }
}

/** @param {string} name of a hidden field of the composer @param {string | undefined} value */
function fill(name, value) {
  composer.elements.namedItem(name).value = value;
}

/** @param {Element} question @param {DocumentFragment} turn @param {Headers} headers */
function accept(question, turn, headers) {
  fill("key", freshKey()); // Retry sends it too
  if (find(".queued", turn)) {
    question.replaceWith(turn);
    return prepare("queue");
  }
  const url = headers.get("Location") ?? "";
  const action = find("[data-send-to]", turn).dataset.sendTo;
  if (composer.getAttribute("action") !== action) {
    composer.action = action;
    find(".header__new").before(...turn.querySelectorAll("#menu, [popovertarget=menu]"));
    history.pushState(null, "", url);
    place = location.pathname;
    addConversation(url, decodeURIComponent(headers.get("X-Title") ?? ""));
  }
  fill("parent", turn.lastElementChild?.id.slice(2));
  find(".undo")?.remove();
  question.replaceWith(turn);
  say(words.queued);
  followAll();
  stick();
}

/** @param {string} url @param {string} title */
function addConversation(url, title) {
  const link = find(`.conversations a[href="${url}"]`) ?? addToList(url, title);
  link.setAttribute("aria-current", "page");
  link.scrollIntoView({ block: "nearest" });
  find(".header__title").textContent = title;
  document.title = `${title} · Lockchat`;
}

/** @param {string} url @param {string} title @returns {HTMLAnchorElement} the new entry of the list */
function addToList(url, title) {
  const item = copyOf("#conversation");
  const [link, menu] = item.children;
  link.href = url;
  link.textContent = title;
  menu.href = `${url}/menu`;
  menu.ariaLabel += title;
  const today = find("[data-group=today]");
  today.hidden = false;
  find("ul", today).prepend(item);
  return link;
}

/* ---- followed: a snapshot, then changes, to exactly one end ---- */

const idle = { wake() {}, doze() {}, close() {} };

/** Follow the running replies that nobody follows yet. */
function followAll() {
  for (const article of document.querySelectorAll("[data-stream]")) {
    if (streams.has(article)) continue;
    streams.set(article, idle); // until the module is there
    load("follow", article).catch(() => {
      streams.delete(article);
      find(".message__state", article).textContent = words.gone;
      showButtons();
    });
  }
  showButtons();
}

/* ---- waited for: for how long, and whether the connection is lost ---- */

const SILENT_SECONDS = 3; // a shorter wait is not counted
const BACK_TIME = 6000; // ms that the end of a loss is shown

const format = new Intl.NumberFormat(document.documentElement.lang, { style: "unit", unit: "second", unitDisplay: "narrow" });

/** @type {WeakMap<HTMLElement, { since: number, timer: number }>} the waits that are counted */
const waits = new WeakMap();

/**
 * Count the seconds behind the sentence of a wait. Without a sentence the wait is over.
 * @param {HTMLElement} state the sentence's element @param {number} seconds that it has lasted already
 */
function count(state, seconds) {
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

/** @type {Set<object>} the replies, and buttons, whose connection is lost */
const lost = new Set();
const bar = document.createElement("p");
let hiding = 0;

bar.className = "problem lost";
bar.role = "alert";
bar.hidden = true;
find(".dock")?.prepend(bar);

/**
 * Show and say that a reply's or a button's connection is lost; with an empty sentence, that it is back.
 * @param {object} owner @param {string} sentence @param {string} back the sentence for the end
 */
function tellConnection(owner, sentence, back) {
  if (sentence) lost.add(owner);
  else if (!lost.delete(owner) || lost.size) return;
  sentence ||= back;
  clearTimeout(hiding);
  bar.hidden = false;
  if (bar.textContent !== sentence) bar.textContent = sentence; // said once, however often it is tried
  bar.classList.toggle("lost--over", !lost.size);
  if (!lost.size) hiding = window.setTimeout(() => { bar.hidden = true; bar.textContent = ""; }, BACK_TIME);
}

/* ---- changed ---- */

/**
 * Apply the server's change to the text. Throws if the two copies differ.
 * @param {Element} body @param {Patch} patch
 */
function apply(body, patch) {
  if (patch[0] === "x") return [...body.children].slice(patch[1]).forEach((block) => block.remove());
  const [kind, index, depth, content] = patch;
  let /** @type {any} */ node = body.children[index];
  if (!node && kind === "=" && !depth) return body.append(parse(content));
  for (let level = kind === "=" ? 0 : 1; level < depth; level++) node = node.lastElementChild;
  if (kind === "=") node.replaceWith(parse(content));
  else if (kind === "+") node.append(parse(content));
  else if (node.lastChild instanceof Text) node.lastChild.appendData(content);
  else node.append(content);
}

/**
 * Give `parent` the children of `wanted`. Keeps equal ones, and with them selection and focus.
 * @param {Element} parent @param {ParentNode} wanted
 */
function update(parent, wanted) {
  parent.normalize();
  const present = [...parent.children];
  const nodes = [...wanted.children];
  nodes.forEach((node, index) => {
    if (!present[index]) parent.appendChild(node);
    else if (!present[index].isEqualNode(node)) present[index].replaceWith(node);
  });
  present.slice(nodes.length).forEach((node) => node.remove());
}

let hiddenTimer = 0;

function onVisibility() {
  clearTimeout(hiddenTimer);
  if (document.hidden) {
    hiddenTimer = window.setTimeout(() => streams.forEach((stream) => stream.doze()), HIDDEN_LIMIT);
  } else {
    document.title = document.title.replace("● ", "");
    wake();
  }
}

function wake() {
  streams.forEach((stream) => stream.wake());
}

/* ---- told: what other tabs and chats do ---- */

let checkWatch = () => {};

/* ---- stopped ---- */

/** Show Send or, while a reply runs, Stop; keep the focus on a button. */
function showButtons() {
  const held = document.activeElement;
  sendButton.hidden = streams.size > 0;
  stopButton.hidden = !streams.size;
  stopButton.disabled = false;
  checkWatch();
  if (held === sendButton && streams.size) stopButton.focus();
  if (held === stopButton && !streams.size) focusBox();
}

async function stop() {
  const article = [...streams.keys()].at(-1);
  if (!article || stopButton.disabled) return;
  if (document.activeElement === stopButton) focusBox();
  stopButton.disabled = true;
  const stopped = (await post(find(".message__stop", article)))?.ok;
  complain(stopped ? "" : words.unstopped);
  if (!stopped) stopButton.disabled = false;
}

/** @param {any} event */
function onKey(event) {
  if (event.key !== "Escape" || event.shiftKey || event.isComposing || event.target.closest("select")) return;
  if (!find("dialog[open], :popover-open")) stop();
}

/** The keys of shortcuts, Ctrl itself among them: the module is there before the letter. @param {any} event */
function onShortcut(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(Arrow|Esc)/.test(event.key)) load("keys", event);
}

/* ---- read: the page follows the text only while the reader is at its end ---- */

const page = document.scrollingElement ?? document.documentElement;
const gap = () => page.scrollHeight - page.scrollTop - page.clientHeight;
let pinned = true;
let lastTop = 0;

function stick() {
  if (pinned) page.scrollTop = page.scrollHeight;
  lastTop = page.scrollTop;
  jumpButton.hidden = gap() < 2 * NEAR;
}

function toEnd() {
  pinned = true;
  stick();
}

/** Any way up ends following: wheel, finger, keys, scrollbar. Runs before the next frame. */
function onScroll() {
  const top = page.scrollTop;
  if (top < lastTop && gap() > 1) pinned = false;
  else if (top > lastTop && gap() < NEAR) pinned = true;
  lastTop = top;
  jumpButton.hidden = gap() < 2 * NEAR;
}

/* ---- copied ---- */

/** @param {ParentNode} within */
function addCopyButtons(within) {
  const captions = within.querySelectorAll("figure.code > figcaption:not(:has(button))");
  for (const caption of captions) caption.append(copyOf("#copy"));
}

/** @param {any} event */
function onClick(event) {
  const button = event.target.closest("[data-module], [data-copy]");
  if (!button) return;
  event.preventDefault();
  const tell = (sentence = "") => tellConnection(button, sentence, words.back);
  if (button.dataset.copy && tools.copy) return tell(), tools.copy(button); // some browsers copy only during the click
  load(button.dataset.module ?? "reading", button).then(() => tell(), () => tell(words.gone));
}

/* ---- listed: the list keeps its place from page to page, with the current chat in view ---- */

const list = find(".sidebar__list");

function placeList() {
  try {
    list.scrollTop = sessionStorage.list ?? 0;
  } catch { /* no storage */ }
  find("[aria-current]", list)?.scrollIntoView({ block: "nearest" });
}

/* ---- begin ---- */

const isBusy = () => !!sending || streams.size > 0;
const /** @type {any} */ tools = { isComposing: false, isBusy, fill, followAll, addToList, load, prepare, apply, update, count, tellConnection, stick, showButtons, find, parse, say, complain, post, focusBox, draftKey, writeDraft, accept, streams, words, box, grow, onInput };
document.documentElement.classList.add("js");
if (list) {
  placeList();
  find("#sidebar").addEventListener("toggle", placeList); // until it opens, a narrow page has no list
  addEventListener("pagehide", () => { try { sessionStorage.list = list.scrollTop; } catch { /* no storage */ } });
}

document.addEventListener("keydown", onShortcut);
for (const type of ["compositionstart", "compositionend"]) {
  document.addEventListener(type, () => { tools.isComposing = type === "compositionstart"; });
}
for (const part of document.querySelectorAll("[data-starts]")) {
  const listen = () => {
    for (const type of ["pointerover", "focusin", "toggle", "input"]) part.addEventListener(type, start, { once: true });
  };
  const start = () => load(part.dataset.starts, part).catch(listen);
  listen();
  if (part.matches(":hover, :focus-within")) start(); // both began before this script
}

if (find(".log")) {
  composer.addEventListener("submit", onSubmit);
  box.addEventListener("input", onInput);
  for (const field of document.querySelectorAll("textarea[name=text]")) field.addEventListener("keydown", onBoxKey);
  stopButton.addEventListener("click", (event) => event.detail > 1 || stop()); // ignores Send's second click
  jumpButton.addEventListener("click", () => { toEnd(); focusBox(); });
  document.addEventListener("click", onClick);
  document.addEventListener("keydown", onKey);
  document.addEventListener("scroll", onScroll);
  document.addEventListener("visibilitychange", onVisibility);
  addEventListener("online", wake);
  addEventListener("popstate", () => location.pathname === place || location.reload());
  find("#tuning").addEventListener("beforetoggle", tune, { once: true });
  addEventListener("pagehide", () => { if (draftTimer || sending) keepDraft(); streams.forEach((stream) => stream.close()); });
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    if (find(".undo")) location.reload(); // what it says may no longer be true
    wake();
  });
  const resizes = new ResizeObserver(stick);
  resizes.observe(find(".dock"));
  resizes.observe(find(".log"));

  if (find(".message")) prepare("reading");
  addCopyButtons(document);
  restoreDraft();
  followAll();
  if (find(".queued")) prepare("queue");
  if (document.hidden) onVisibility();
  if (find(".message") && (!location.hash || streams.size)) toEnd();
  else pinned = false; // the reader opened a link to a message
  // After loading: until then Chromium takes the focus away for the address's fragment.
  if (!/[?&](at|edit|before)=/.test(location.search) && !coarse.matches) {
    addEventListener("load", () => document.activeElement === document.body && focusBox());
  }
  setTimeout(prepare, WATCH_DELAY, "style");
  setTimeout(prepare, WATCH_DELAY, "watch", (/** @type {() => void} */ check) => { checkWatch = check; });
}
