// @ts-check
/** The list of conversations beside the page: loads more as it is scrolled. */

let started = false;

/** @param {any} tools @param {HTMLElement} sidebar */
export default ({ parse }, sidebar) => {
  if (started) return;
  started = true;
  // The server groups by the reader's day from the next page on.
  document.cookie = `offset=${new Date().getTimezoneOffset()};path=/;samesite=lax;max-age=31536000`;
  const list = /** @type {HTMLElement} */ (sidebar.querySelector(".sidebar__list"));
  watch(list, parse);
};

/** Load the next page when the end of the list comes into view. @param {HTMLElement} list @param {(html: string) => DocumentFragment} parse */
function watch(list, parse) {
  const end = /** @type {HTMLElement | null} */ (list.querySelector("[data-next]"));
  if (!end) return;
  const watcher = new IntersectionObserver(async ([entry]) => {
    if (!entry.isIntersecting) return;
    watcher.disconnect();
    const page = await load(end.dataset.next ?? "", parse);
    if (!page) return; // the link still leads there
    join(list, page, end);
    watch(list, parse);
  }, { root: list, rootMargin: "0px 0px 400px" });
  watcher.observe(end);
}

/** @param {string} url @param {(html: string) => DocumentFragment} parse @returns {Promise<DocumentFragment | null>} null if it failed */
async function load(url, parse) {
  const response = await fetch(url, { headers: { "X-Fragment": "1" } }).catch(() => null);
  return response?.ok ? parse(await response.text()) : null;
}

/** Put a page before the end; its first group may go on with the last one shown. @param {HTMLElement} list @param {DocumentFragment} page @param {HTMLElement} end */
function join(list, page, end) {
  for (const group of page.querySelectorAll("section")) {
    const same = list.querySelector(`[data-group="${group.dataset.group}"] ul`);
    if (same) same.append(...group.querySelectorAll("li"));
    else end.before(group);
  }
  const last = page.querySelector("[data-next]");
  if (last) end.replaceWith(last);
  else delete end.dataset.next;
}
