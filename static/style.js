// @ts-check
/** Adds the style of what modules bring, on a page that came without it. */

if (!document.querySelector('link[href*="more.css"]')) {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = new URL("more.css", import.meta.url).href;
  document.head.append(link);
}
