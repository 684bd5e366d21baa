// @ts-check
/** Lists the headings of an answer below it; one goes to its heading. */

/** @param {any} tools @param {any} button */
export default (tools, button) => {
  const article = button.closest("article");
  const open = tools.find(".outline", article);
  button.ariaExpanded = String(!open);
  if (open) return open.remove();
  const list = document.createElement("nav");
  list.className = "outline";
  list.ariaLabel = button.textContent;
  for (const heading of article.querySelectorAll(".message__body :is(h3, h4, h5, h6)")) {
    const way = document.createElement("button");
    Object.assign(way, { type: "button", className: "button button--small", textContent: heading.textContent });
    way.dataset.level = heading.localName[1];
    way.onclick = () => {
      heading.tabIndex = -1;
      heading.focus({ preventScroll: true });
      heading.scrollIntoView({ block: "start" });
    };
    list.append(way);
  }
  button.closest("footer").append(list);
  list.querySelector("button")?.focus();
};
