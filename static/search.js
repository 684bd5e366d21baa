// @ts-check
/** The search page: searches while the user types. Without it, the form's button does. */

const PAUSE = 200; // ms without a key
let started = false;

/** @param {any} tools @param {any} form */
export default ({ parse, say, isComposing }, form) => {
  if (started) return;
  started = true;
  const found = /** @type {HTMLElement} */ (document.querySelector("#found"));
  let timer = 0;
  let request = new AbortController();

  /** @param {any} form @returns {string} the query as the address has it */
  const queryOf = (form) => `${new URLSearchParams(/** @type {any} */ (new FormData(form)))}`;
  const search = async () => {
    request.abort(); // the answer to an older text must not replace a newer one
    request = new AbortController();
    const { signal } = request;
    const url = `${form.action}?${queryOf(form)}`;
    if (url === location.href) return;
    try {
      const response = await fetch(url, { headers: { "X-Fragment": "1" }, signal });
      const html = await response.text();
      if (response.ok) found.replaceChildren(parse(html));
      else found.textContent = html;
      history.replaceState(null, "", url);
      say(found.querySelector(".search__count, .search__nothing")?.textContent ?? "");
    } catch { /* a newer text, or no network: the button remains */ }
  };
  const later = (/** @type {{ isComposing?: boolean }} */ event) => {
    if (event.isComposing) return; // the input method's letters are not the word yet
    clearTimeout(timer);
    timer = window.setTimeout(search, PAUSE);
  };

  form.addEventListener("input", later);
  form.addEventListener("compositionend", later);
  const unchanged = form.cloneNode(true);
  unchanged.reset();
  if (queryOf(form) !== queryOf(unchanged)) later({ isComposing }); // typed while this was loading
};
