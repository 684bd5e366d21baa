"""Marks and addresses beside Chinese, Japanese and Korean text, where no blanks stand around them."""

from __future__ import annotations

import pytest

from tests.test_patches import assert_stays, run
from webapp.markdown import render


def p(html: str) -> str:
    return f'<p dir="auto">{html}</p>\n'


# The table of https://github.com/tats-u/markdown-cjk-friendly/blob/main/implementers-tips.md, and the lines of its
# test cases.
EMPHASIS = [
    ("**「重要」**です。", "<strong>「重要」</strong>です。"),
    ("**注意：**请不要。", "<strong>注意：</strong>请不要。"),
    ("这是**“重点”**内容。", "这是<strong>“重点”</strong>内容。"),
    ("これは**私のやりたかったこと。**だから", "これは<strong>私のやりたかったこと。</strong>だから"),
    ("注意**（太字）**文が", "注意<strong>（太字）</strong>文が"),
    ("税込**¥10,000**で", "税込<strong>¥10,000</strong>で"),
    ("**C#**や**F#**は**「.NET」**という", "<strong>C#</strong>や<strong>F#</strong>は<strong>「.NET」</strong>という"),
    ('太郎は**"Hello"**といった', '太郎は<strong>"Hello"</strong>といった'),
    ("**`コード`**も`注意`", "<strong><code>コード</code></strong>も<code>注意</code>"),
    ("**스크립트(script)**라고", "<strong>스크립트(script)</strong>라고"),
    ("*（甲）*乙", "<em>（甲）</em>乙"),
    ("***「甲」***乙", "<em><strong>「甲」</strong></em>乙"),
    ("~~「旧」~~新しい", "<s>「旧」</s>新しい"),
    ("価格は~~¥500。~~¥400", "価格は<s>¥500。</s>¥400"),
    ("**a「b」**c", "<strong>a「b」</strong>c"),
    ("㊙**(秘)**㊗", "㊙<strong>(秘)</strong>㊗"),
    ("禰󠄀**(ね)**豆子", "禰󠄀<strong>(ね)</strong>豆子"),
    ("大塚︀**(or 大塚)**が", "大塚︀<strong>(or 大塚)</strong>が"),
    ("**‘︁甲’︁**乙", "<strong>‘︁甲’︁</strong>乙"),
    ("𩸽**「魚」**𩸽", "𩸽<strong>「魚」</strong>𩸽"),
    ("甲__「乙」__丙", "甲__「乙」__丙"),
    ("「__甲__」乙", "「<strong>甲</strong>」乙"),
    ('a**"b"**c', 'a**"b"**c'),
    ("a**⚡(b)**c", "a**⚡(b)**c"),
    ("甲 ** 乙**", "甲 ** 乙**"),
]


@pytest.mark.parametrize(("text", "html"), EMPHASIS)
def test_emphasis_needs_no_blanks_beside_such_text(text: str, html: str) -> None:
    assert render(text) == p(html)


@pytest.mark.parametrize("text", [text for text, html in EMPHASIS if "**" not in html and "__" not in html])
def test_it_grows_without_raw_marks(text: str) -> None:
    run(list(text))
    assert_stays(list(text))


REL = ' rel="noopener noreferrer nofollow"'
X = f'<a href="https://x.org/a"{REL}>https://x.org/a</a>'
SIGNS = "，。！？、；：（）【】《》〈〉「」『』〔〕｛｝［］～…—"
ADDRESSES = [
    *((f"请看 https://x.org/a{sign}详见", f"请看 {X}{sign}详见") for sign in SIGNS),
    *((f"see https://x.org/a{sign} more", f"see {X}{sign} more") for sign in "”’»›“‘„"),
    ("“https://x.org/a”说", f"“{X}”说"),
    ("（https://x.org/a）", f"（{X}）"),
    ("详见https://x.org/a。", f"详见{X}。"),
    ("(https://x.org/a)详见", f"({X})详见"),
    ("(see https://x.org/a), and", f"(see {X}), and"),
    ("(https://x.org/a).", f"({X})."),
    ("https://x.org/a，https://x.org/a", f"{X}，{X}"),
    ("**链接：https://x.org/a**", f"<strong>链接：{X}</strong>"),
    ("https://x.org/b(c)d)e", f'<a href="https://x.org/b(c)d)e"{REL}>https://x.org/b(c)d)e</a>'),
    ("(https://x.org/b(c)d)e", f'(<a href="https://x.org/b(c)d"{REL}>https://x.org/b(c)d</a>)e'),
    ("() https://x.org/b)c", f'() <a href="https://x.org/b)c"{REL}>https://x.org/b)c</a>'),
]


@pytest.mark.parametrize(("text", "html"), ADDRESSES)
def test_a_bare_address_ends_before_what_does_not_belong_to_it(text: str, html: str) -> None:
    assert render(text) == p(html)


@pytest.mark.parametrize("text", [text for text, _html in ADDRESSES])
def test_an_address_grows_as_it_ends(text: str) -> None:
    assert_stays([*text, " "])
