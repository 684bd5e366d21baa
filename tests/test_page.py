"""The page: headers, preferences, wrong methods, broken forms; all of it without script."""

from __future__ import annotations

import re
import threading

import html5lib
import pytest

from tests.upstream import Wait, body, token, tokens
from tests.visitor import Visitor, text_of

UNKNOWN = "00000000-0000-4000-8000-000000000000"


def test_every_answer_has_the_security_headers(alice):
    for path in ("/", "/nowhere", "/static/app.js"):
        headers = alice.get(path).headers

        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "require-trusted-types-for 'script'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"


def test_the_page_has_nothing_inline(alice):
    alice.end(alice.new_chat("Hi"))

    page = alice.page()

    assert "<style" not in page
    assert " style=" not in page
    assert "<script>" not in page
    assert " onclick=" not in page


def test_the_cookie_is_kept_from_scripts_and_other_sites(alice):
    cookie = alice.get("/").headers["Set-Cookie"]

    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_the_cookie_is_set_once_a_day(alice):
    first, second = alice.get("/"), alice.get("/")

    assert "Max-Age" in first.headers["Set-Cookie"] or "Expires" in first.headers["Set-Cookie"]
    assert "Set-Cookie" not in second.headers


def test_a_text_browser_gets_each_message_without_controls_that_need_script(alice):
    alice.end(alice.new_chat("Hi"))
    as_lynx = {"User-Agent": "Lynx/2.9.0"}

    pages = [alice.get(f"/c/{alice.conversation_id}", headers=as_lynx).text for _ in range(2)]

    assert [text_of(page).count("Hello world") for page in pages] == [1, 1]
    assert [page.count("popovertarget") for page in pages] == [0, 0]
    assert "popovertarget" in alice.page()
    assert ['data-raw="/m/' in page for page in (*pages, alice.page())] == [False, False, True]


def test_the_models_to_retry_with_are_listed_where_they_are_asked_for_alone(alice):
    reply = alice.new_chat("Hi")
    alice.end(reply)
    place = f"/c/{alice.conversation_id}"

    pages = [alice.get(place + query).text for query in (f"?again={reply}", "", f"?again={reply}", "")]

    assert [page.count('name="with" value="gpt-4"') for page in pages] == [1, 0, 1, 0]


def test_static_files_are_cached_for_ever_under_their_version(alice):
    address = re.search(r"/static/app.css\?v=\w+", alice.get("/").text)[0]

    answer = alice.get(address)

    assert "max-age=31536000" in answer.headers["Cache-Control"]
    assert "Set-Cookie" not in answer.headers
    assert [alice.get(path).headers.get("Vary") for path in (address, "/healthz")] == ["Accept-Encoding"] * 2
    assert alice.get("/static/app.css").headers["Cache-Control"] == "no-cache"
    assert alice.get("/static/icon.svg").headers["Content-Encoding"] == "gzip"


@pytest.mark.parametrize("path", ["/", "/settings", "/search?q=x", "/nowhere", "/c/{0}", "/m/{1}/raw", "/m/{1}/status"])
def test_what_is_private_is_stored_nowhere(alice, path):
    reply = alice.new_chat("Hi")
    alice.end(reply)

    answer = alice.get(path.format(alice.conversation_id, reply))

    assert answer.headers["Cache-Control"] == "private, no-store"


def test_a_page_names_its_user_by_a_sign_that_tells_nothing(alice, bob):
    signs = [re.search('data-user="([^"]*)"', visitor.get("/").text)[1] for visitor in (alice, bob, alice)]

    assert re.fullmatch("[0-9a-f]{16}", signs[0])
    assert signs[0] == signs[2] != signs[1]


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/static/app.css"])
def test_what_is_whole_is_compressed_for_who_can_read_it(alice, path):
    packed = alice.get(path)
    plain = alice.get(path, headers={"Accept-Encoding": "identity"})

    assert packed.headers["Content-Encoding"] == "gzip"
    assert int(packed.headers["Content-Length"]) < len(plain.content) / 2
    assert "Content-Encoding" not in plain.headers
    for answer in (packed, plain):
        assert "Accept-Encoding" in answer.headers["Vary"]
    if path != "/":
        assert packed.content == plain.content
        for answer in (packed, plain):
            again = alice.get(path, headers={"If-None-Match": answer.headers["ETag"]})
            assert again.status_code == 304
        assert packed.headers["ETag"] == f"W/{plain.headers['ETag']}"  # the bytes differ


@pytest.mark.parametrize(("chars", "packing"), [(299, None), (300, "gzip")])
def test_a_short_answer_is_not_compressed(alice, upstream, chars, packing):
    upstream.answer(*tokens("x" * chars))
    reply = alice.new_chat("Hi")
    alice.end(reply)

    assert alice.get(f"/m/{reply}/raw").headers.get("Content-Encoding") == packing


def test_a_part_of_a_file_is_the_whole_file(alice):
    whole = alice.get("/static/app.js").content
    for span in ("bytes=0-9", "bytes=5-2", "lines=1"):
        answer = alice.get("/static/app.js", headers={"Range": span})
        assert (answer.status_code, answer.content) == (200, whole)


def test_a_page_as_it_opens_has_no_trouble_and_an_empty_form(alice):
    reply = alice.new_chat("Hi")
    alice.end(reply)

    pages = alice.get("/").text, alice.page()

    empty = dict.fromkeys(("text", "model", "temperature", "system"), "")
    assert [composer(page) for page in pages] == [empty | {"parent": ""}, empty | {"parent": reply}]
    assert [word for word in ("message__problem", "edit.js") if word in pages[0] + pages[1]] == []
    assert re.search(r'role="log"[^>]*>\s*</div>', pages[0])


def composer(page: str) -> dict[str, str]:
    """The fields of the message box and what they hold, without its key."""
    form = html5lib.parse(page, namespaceHTMLElements=False).find(".//form[@id='composer']")
    fields = {one.get("name"): one.get("value") or (one.text or "").strip() for one in form.iter() if one.get("name")}
    return {name: value for name, value in fields.items() if name != "key"}


@pytest.mark.parametrize("last", ["0", "-5", "x", "9" * 30])
def test_an_odd_number_of_messages_is_no_error(alice, last):
    alice.end(alice.new_chat("Hi"))

    assert alice.get(f"/c/{alice.conversation_id}?last={last}").status_code == 200


def test_a_refused_form_leads_back_and_has_nothing_that_would_lose_it(alice):
    alice.end(alice.new_chat("Hi"))
    place = f"/c/{alice.conversation_id}"

    page = alice.post(
        f"{place}/rename", data={"title": " "}, headers={"Referer": f"{alice.base_url}{place}?last=9"}
    ).text

    assert f'href="{place}?last=9">Back</a>' in page
    assert 'action="/preferences"' not in page
    assert 'action="/preferences"' in alice.page()


def test_no_proxy_is_to_buffer_a_stream(alice, upstream):
    upstream.answer(*body(token("word"), Wait()))
    reply = alice.new_chat("Hi")

    for path, kind in ((f"/m/{reply}/stream", "event-stream"), (f"/c/{alice.conversation_id}?live=1", "html")):
        with alice.get(path, stream=True) as answer:
            assert answer.headers["Content-Type"] == f"text/{kind}; charset=utf-8"
            assert answer.headers["X-Accel-Buffering"] == "no"
            assert answer.headers["Cache-Control"] == "no-store, no-transform"


def test_without_script_the_streamed_text_is_escaped(alice, upstream):
    go_on = threading.Event()
    upstream.answer(*body(token("<b>bold</b> & <script>x</script>"), Wait(go_on), b"data: [DONE]\n\n"))
    alice.new_chat("Hi")

    with alice.get(f"/c/{alice.conversation_id}?live=1", stream=True) as answer:
        page = b""
        while b"script" not in page.partition(b'class="message__live"')[2]:
            part = answer.raw.read1(65536)
            assert part, page
            page += part
        go_on.set()
        page += b"".join(iter(lambda: answer.raw.read1(65536), b""))

    live = page.decode().partition('class="message__live"')[2].partition("</div>")[0]
    assert "&lt;b&gt;bold&lt;/b&gt; &amp; &lt;script&gt;x&lt;/script&gt;" in live
    assert "<b>" not in live


def test_a_stream_is_never_compressed(alice, upstream):
    upstream.answer(*body(token("word " * 1000), Wait()))
    reply = alice.new_chat("Hi")

    for path in (f"/m/{reply}/stream", f"/c/{alice.conversation_id}?live=1"):
        with alice.get(path, stream=True) as answer:
            assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path"), [("GET", f"/c/{UNKNOWN}/messages"), ("DELETE", "/"), ("PUT", f"/c/{UNKNOWN}/messages")]
)
def test_a_wrong_method_is_a_405_page(alice, method, path):
    answer = alice.request(method, path)

    assert answer.status_code == 405
    assert answer.headers["Allow"]
    assert "cannot be used this way" in text_of(answer.text)


def test_a_broken_form_is_a_400_page(alice, upstream):
    headers = {"Content-Type": "multipart/form-data; boundary=x"}

    answer = alice.post("/conversations", data=b"--x\r\nnonsense", headers=headers)

    assert answer.status_code == 400
    assert answer.headers["Content-Encoding"] == "gzip"
    assert upstream.requests == []


def test_a_body_beyond_all_measure_is_a_413_page(alice):
    answer = alice.post("/conversations", data=b"text=" + b"x" * (17 * 2**20))

    assert answer.status_code == 413
    assert "more than this server accepts" in text_of(answer.text)
    assert alice.get("/").status_code == 200


@pytest.mark.parametrize(("theme", "place"), [("light", "/nowhere?x=1"), ("dark", "/settings")])
def test_a_theme_is_kept_and_leads_back(alice, theme, place):
    referrer = {"Referer": f"{alice.base_url}{place}"}

    answer = alice.post("/preferences", data={"theme": theme}, headers=referrer, allow_redirects=False)

    assert (answer.status_code, answer.headers["Location"]) == (303, place)
    assert f'data-theme="{theme}"' in alice.get("/").text


def test_preferences_lead_to_no_other_site(alice):
    headers = {"Referer": f"{alice.base_url}//evil.example/"}

    answer = alice.post("/preferences", data={"theme": "x"}, headers=headers, allow_redirects=False)

    assert answer.headers["Location"] == "/"


def test_without_script_the_page_itself_streams_the_answer(alice, upstream):
    go_on = threading.Event()
    upstream.answer(*body(token("**one** "), Wait(go_on), token("two"), b"data: [DONE]\n\n"))
    alice.new_chat("Count")
    assert '<noscript><meta http-equiv="refresh" content="0; url=?live=1' in alice.page()

    with alice.get(f"/c/{alice.conversation_id}?live=1", stream=True) as answer:
        page = b""
        while b"**one** " not in page:
            page += answer.raw.read1(65536)
        go_on.set()
        page += b"".join(iter(lambda: answer.raw.read1(65536), b""))

    assert page.index(b'<div class="message__live"') < page.index(b"<strong>one</strong> two")
    assert page.endswith(b"</html>\n") or page.endswith(b"</html>")
    ended = alice.page()
    assert composer(page.decode()) == composer(ended)
    assert "?live=1" not in ended


def test_without_script_each_of_two_running_replies_stands_under_its_own_question(alice, upstream):
    first, second = threading.Event(), threading.Event()
    upstream.answer(*body(token("answer A"), Wait(first), b"data: [DONE]\n\n"))
    upstream.answer(*body(token("answer B"), Wait(second), b"data: [DONE]\n\n"))
    reply = alice.new_chat("Question A")
    upstream.wait_for_requests(1)
    alice.say("Question B")

    with alice.get(f"/c/{alice.conversation_id}?live=1", stream=True) as answer:
        first.set()
        page = b"".join(iter(lambda: answer.raw.read1(65536), b"")).decode()
    second.set()

    article = page[page.index(f'id="m-{reply}"') :].split("</article>")[0]
    assert "answer A" in article
    assert 'http-equiv="refresh" content="0; url=?live=1"' in page


def test_a_page_of_finished_replies_parses_no_markdown(alice, upstream, monkeypatch):
    upstream.always(*tokens("**bold**"))
    alice.end(alice.new_chat("One"))
    alice.end(alice.say("Two"))
    monkeypatch.setattr("webapp.markdown.parse", None)

    assert alice.page().count("<strong>bold</strong>") == 2


def test_the_demo_shows_itself_at_one_click(make_site):
    visitor = Visitor(make_site(url=None).extensions["url"])
    page = html5lib.parse(visitor.get("/").text, namespaceHTMLElements=False)
    form = page.find(".//form[@action='/conversations']/button[.='Show me what this page can do']/..")

    reply = visitor.reply_of(visitor.post_form("/conversations", **{x.get("name"): x.get("value") for x in form[:2]}))
    visitor.stop(reply)

    assert "Show me what this page can do" in text_of(visitor.page())
    assert visitor.page().count('id="m-') == 2
    visitor.close()


def test_health_is_plain(alice):
    answer = alice.get("/healthz")
    assert answer.text == "ok\n"
    assert "Content-Encoding" not in answer.headers  # so little would only grow
    assert alice.get("/readyz").text == "ready\n"
    assert "lockchat_running_replies 0.0" in alice.get("/metrics").text
