// @ts-check
/** Follows running replies: a snapshot, then changes, to exactly one end. Loaded with the first one. */

/** @typedef {["a" | "+" | "=", number, number, string] | ["x", number]} Patch */

// ms; the server beats after 15 s of silence
const BEAT_LIMIT = 16_500;
// Then the page says that the connection is lost: 20 s after the break at the latest.
const LOOK_LIMIT = 3000;
const ANSWER_LIMIT = 20_000;
const RETRIES = 12; // about five minutes

/** Follow a running reply to its end, through lost connections and hidden tabs. @param {any} tools @param {any} article */
export default function follow(tools, article) {
  const { find, parse, apply, update, count, tellConnection, say, words, streams, stick, showButtons, prepare } = tools;
  prepare("reading");
  const body = find(".message__body", article);
  const reasoning = find(".reasoning", article);
  const state = find(".message__state", article);
  let /** @type {EventSource | undefined} */ source;
  let /** @type {Patch[]} */ patches = [];
  let frame = 0;
  let failures = -1; // the first look is at once: a reply may end before its stream opens
  let timer = 0; // of a silence, a retry or a look: one at a time
  let alarm = 0; // of a look that gets no answer
  let toldThinking = false;

  const show = (/** @type {string} */ name, seconds = 0) => {
    if (!words[name] && state.textContent) say(""); // nothing waits any more
    state.textContent = words[name] ?? "";
    count(state, seconds);
    if (name !== "thinking" || toldThinking) return;
    toldThinking = true;
    say(words.thinking);
  };
  const tell = (/** @type {string} */ sentence) => {
    state.hidden = !!sentence;
    tellConnection(article, sentence, words.back);
  };
  const think = (/** @type {string} */ text) => {
    if (text && reasoning.hidden) reasoning.open = !(reasoning.hidden = false);
    find(".reasoning__text", reasoning).append(text);
    stick();
  };
  const thinkAnew = (/** @type {string} */ text) => {
    find(".reasoning__text", reasoning).textContent = "";
    think(text);
  };
  const later = (/** @type {() => void} */ action, /** @type {number} */ delay) => {
    clearTimeout(timer);
    timer = window.setTimeout(action, delay);
  };
  const close = () => {
    source?.close();
    clearTimeout(timer);
    clearTimeout(alarm);
  };
  const open = () => {
    close();
    if (!streams.has(article)) return;
    source = new EventSource(article.dataset.stream);
    source.onerror = retry;
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, ({ data }) => {
        failures = 0;
        later(look, BEAT_LIMIT);
        if (state.hidden) tell("");
        handle(data && JSON.parse(data));
      });
    }
    later(look, BEAT_LIMIT);
  };
  const flush = () => {
    cancelAnimationFrame(frame);
    frame = 0;
    try {
      patches.splice(0).forEach((patch) => apply(body, patch));
    } catch {
      // The copies differ: a new snapshot replaces this one.
      open();
    }
    stick();
  };
  const retry = () => {
    close();
    if (++failures > 1) tell(failures > RETRIES ? words.gone : words.lost);
    if (failures <= RETRIES) later(look, failures && Math.min(30_000, 500 * 2 ** failures) * (0.5 + Math.random() / 2));
  };
  const doze = () => {
    close();
    later(look, 5000 + Math.random() * 5000);
  };
  /** Ask for the status; then follow, wait while the tab is hidden, or fetch the finished reply. */
  const look = async () => {
    close();
    const limit = new AbortController();
    const { signal } = limit;
    later(() => limit.abort(), ANSWER_LIMIT);
    alarm = window.setTimeout(tell, LOOK_LIMIT, words.lost);
    try {
      let answer = await fetch(article.dataset.status, { signal, redirect: "manual" });
      if ([0, 401].includes(answer.status)) return close(), tell(words.out); // 0: led to where one signs in, maybe elsewhere
      const { status, full } = await answer.json();
      failures %= RETRIES;
      if (full) tell(full);
      if (status === "streaming") return full || document.hidden ? doze() : open();
      answer = await fetch(article.dataset.url, { signal, headers: { "X-Fragment": "1" } });
      const finished = find("article", parse(await answer.text()));
      thinkAnew(find(".reasoning__text", finished)?.textContent ?? "");
      update(body, find(".message__body", finished));
      finish(find(".message__footer", finished), finished.dataset.said, find(".message__body", finished).lang);
    } catch {
      retry();
    }
  };
  const finish = (/** @type {Element} */ footer, /** @type {string} */ sentence, /** @type {string} */ lang) => {
    flush();
    close();
    if (state.hidden) tell("");
    if (!streams.delete(article)) return;
    if (lang) body.lang = lang;
    find(".message__footer", article).replaceWith(footer);
    find(".message__stop", article).remove();
    article.removeAttribute("data-stream");
    article.removeAttribute("aria-busy");
    reasoning.open = false;
    showButtons();
    if (find(".queued")) prepare("queue");
    prepare("reading");
    say(sentence || words.done);
    if (document.hidden) document.title = `● ${document.title.replace("● ", "")}`;
    stick();
  };
  const handlers = /** @type {Record<string, (data: any) => void>} */ ({
    reset: (snapshot) => {
      patches = [];
      update(body, parse(snapshot.html));
      thinkAnew(snapshot.thought);
      show(snapshot.activity ?? snapshot.state, snapshot.seconds);
    },
    patch: (more) => {
      patches.push(...more);
      if (document.hidden) flush();
      else frame ||= requestAnimationFrame(flush);
    },
    status: (change) => show(change.activity ?? change.state),
    thought: think,
    beat: () => {},
    end: (end) => finish(find("footer", parse(end.html)), end.message, end.lang),
  });

  const wake = () => {
    failures = 0; // failures while the computer slept do not count
    look();
  };

  streams.set(article, { wake, doze, close });
  showButtons();
  open();
}
