// @ts-check
/**
 * What other tabs and chats do, told by one event stream. Only a visible page that follows no reply holds it: over
 * HTTP/1.1 a browser has six connections to a host.
 */

const SILENCE_LIMIT = 40_000; // ms; the server beats after 15 s of silence
const LONGEST_PAUSE = 60_000;
const MOST_UNSEEN = 100;

let /** @type {EventSource | undefined} */ source;
let /** @type {any} */ words = {}; // that the server tells
let running = new Set();
const mine = `unseen:${document.body.dataset.user}`;
let timer = 0; // of a silence, or of a pause between attempts
let failures = 0;

/** @param {any} tools @returns {() => void} what to call when a reply of this page begins or ends */
export default (tools) => {
  const { find } = tools;
  const log = find(".log");
  const address = new URL(log.dataset.changes, location.href);
  const isAway = () => document.hidden || tools.isBusy();

  const close = () => {
    source?.close();
    clearTimeout(timer);
    timer = 0;
  };
  const later = (/** @type {() => void} */ action, /** @type {number} */ delay) => {
    clearTimeout(timer);
    timer = window.setTimeout(action, delay);
  };
  const open = () => {
    close();
    if (isAway()) return;
    source = new EventSource(address);
    source.onerror = () => {
      close();
      later(open, Math.min(LONGEST_PAUSE, 1000 * 2 ** failures++) * (0.5 + Math.random() / 2));
    };
    for (const name of ["changes", "beat"]) {
      source.addEventListener(name, ({ data }) => {
        failures = 0;
        later(open, SILENCE_LIMIT);
        if (data) tell(JSON.parse(data));
      });
    }
    later(open, SILENCE_LIMIT);
  };
  const check = () => {
    if (isAway()) close();
    else if (!timer) open();
    mark();
  };

  const tell = (/** @type {any} */ news) => {
    address.searchParams.set("since", news.revision);
    words = news.words ?? words;
    running = new Set(news.running);
    for (const one of news.changed) {
      const link = links().find(({ pathname }) => pathname === one.url);
      if (one.deleted) link?.closest("li")?.remove();
      else if (!link) tools.addToList(one.url, one.title);
      else if (link.lastChild) {
        const menu = link.nextElementSibling;
        if (menu) menu.ariaLabel = menu.ariaLabel?.replace(link.lastChild.textContent ?? "", () => one.title) ?? "";
        link.lastChild.textContent = one.title;
      }
      if (one.url === location.pathname) refresh(one);
    }
    mark();
  };
  const refresh = async (/** @type {any} */ { leaf, title, deleted }) => {
    if (deleted || find(".problem:not(.lost)").textContent === words.deleted) tools.complain(deleted ? words.deleted : "");
    find(".header__title").textContent = title;
    document.title = `${title} · Lockchat`;
    if (deleted || find(`#m-${leaf}, #edit, .log ~ .earlier`)) return; // the page shows it, is edited, or lacks the end
    const html = await fetch(location.pathname).then((response) => response.text()).catch(() => "");
    const fresh = find(".log", tools.parse(html));
    if (!fresh || isAway()) return;
    tools.update(log, fresh);
    tools.fill("parent", leaf);
    tools.followAll();
    for (const name of ["reading", "queue"]) tools.prepare(name);
    tools.stick();
  };

  /** Mark in the list which chats run, and which have an answer that was not seen. */
  const mark = () => {
    const own = idOf(location);
    if (tools.isBusy()) running.add(own);
    else running.delete(own);
    const unseen = remember(isAway() ? "" : own);
    for (const link of links()) {
      const id = idOf(link);
      const kind = running.has(id) ? "running" : unseen.has(id) ? "unread" : "";
      find(".mark", link)?.remove();
      if (!kind || !words[kind]) continue;
      const sign = document.createElement("span");
      sign.className = `mark mark--${kind}`;
      sign.title = words[kind];
      sign.textContent = `${words[kind]}: `; // for screen readers
      link.prepend(sign);
    }
  };

  try {
    for (const key of Object.keys(localStorage)) if (/^unseen:/.test(key) && key !== mine) delete localStorage[key];
  } catch { /* no storage */ }
  document.addEventListener("visibilitychange", check);
  addEventListener("pagehide", close);
  addEventListener("pageshow", check);
  check();
  return check;
};

/** The ids of the chats that ran since they were seen. @param {string} seen @returns {Set<string>} */
function remember(seen) {
  try {
    const unseen = new Set([...(localStorage[mine]?.split(" ") ?? []), ...running]);
    unseen.delete(seen);
    localStorage[mine] = [...unseen].slice(-MOST_UNSEEN).join(" ");
    return unseen;
  } catch {
    return new Set(); // no storage: nothing is remembered
  }
}

/** @returns {HTMLAnchorElement[]} */
function links() {
  return [...document.querySelectorAll(/** @type {"a"} */ ("[data-group] a:first-child"))];
}

/** @param {HTMLAnchorElement | Location} place @returns {string} the conversation's id */
function idOf({ pathname }) {
  return pathname.split("/").at(-1) ?? "";
}
