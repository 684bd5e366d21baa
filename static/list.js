// @ts-check
/** The list of conversations: loads more as it is scrolled; a menu for each. */

let /** @type {any} */ list, /** @type {any} */ parse, /** @type {any} */ say;
const /** @type {any} */ menu = document.createElement("dialog");

/** @param {any} tools @param {HTMLElement} sidebar */
export default async (tools, sidebar) => {
  if (list) return;
  list = sidebar.querySelector(".sidebar__list");
  ({ parse, say } = tools);
  // The server groups by the reader's day from the next page on.
  document.cookie = `offset=${new Date().getTimezoneOffset()};path=${new URL("..", import.meta.url).pathname};samesite=lax;max-age=31536000`;
  watch();
  menu.className = "menu";
  menu.addEventListener("click", closeMenu);
  sidebar.append(menu);
  sidebar.addEventListener("click", openMenu);
  sidebar.addEventListener("pointerover", ({ target: /** @type {any} */ link }) => {
    if (link.scrollWidth > link.clientWidth) link.title = link.innerText; // cut
  });
  for (const type of ["dragover", "drop"]) sidebar.addEventListener(type, move);
  const page = await load(list.querySelector(".list__all").href);
  for (const link of page?.querySelectorAll(".item__menu") ?? []) {
    list.querySelector(`li > [href="${link.previousElementSibling?.getAttribute("href")}"]:only-child`)?.after(link);
  }
};

/** @param {string} url @returns {Promise<DocumentFragment | null>} null if it failed */
async function load(url, form = {}) {
  const response = await fetch(url, { headers: { "X-Fragment": "1" }, ...form }).catch(() => null);
  return response?.ok ? parse(await response.text()) : null;
}

/** Load the next page when the end comes into view; its first group may be the last one. */
function watch() {
  const end = list.querySelector("[data-next]");
  if (!end) return;
  const watcher = new IntersectionObserver(async ([entry]) => {
    if (!entry.isIntersecting) return;
    watcher.disconnect();
    const page = await load(end.dataset.next);
    if (!page) return; // the link still leads there
    for (const group of page.querySelectorAll("section")) {
      list.querySelector(`[data-group="${group.dataset.group}"] ul`)?.append(...group.querySelectorAll("li"));
      if (group.querySelector("li")) end.before(group);
    }
    end.replaceWith(page.querySelector(".list__all"));
    watch();
  }, { root: list, rootMargin: "400px" });
  watcher.observe(end);
}

/** @param {any} event */
async function openMenu(event) {
  const link = event.target.closest(".item__menu");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const forms = await load(link.href);
  if (!forms) return location.assign(link);
  menu.replaceChildren(forms);
  menu.ariaLabel = link.ariaLabel;
  menu.showModal();
  const { left, bottom } = link.getBoundingClientRect();
  menu.style.inset = `${Math.min(bottom, innerHeight - menu.offsetHeight)}px auto auto ${Math.min(left, innerWidth - menu.offsetWidth)}px`;
}

/** Close the menu at a click beside it: Safari has no `closedBy` yet. @param {MouseEvent} event */
function closeMenu({ target, clientX, clientY }) {
  const { left, right, top, bottom } = menu.getBoundingClientRect();
  const isInside = clientX >= left && clientX <= right && clientY >= top && clientY <= bottom;
  if (target === menu && !isInside) menu.close();
}

/** Move a conversation that is dropped on a folder. @param {any} event */
async function move(event) {
  const { folder } = event.target.closest("[data-folder]")?.dataset ?? {};
  if (!folder) return;
  event.preventDefault();
  if (event.type !== "drop") return;
  const { pathname } = new URL(event.dataTransfer.getData("text/uri-list"));
  const moved = await load(`${pathname}/move`, { method: "POST", body: new URLSearchParams({ folder }) });
  say(moved?.textContent);
}
