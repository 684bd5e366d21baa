"""Formulas: what models write becomes MathML, whichever command it uses; money and variables of a shell stay text."""

from __future__ import annotations

import re
from html import unescape

import pytest

from tests.samples import some
from tests.test_patches import assert_stays, cuts, run
from webapp.markdown import render
from webapp.rendering.chemistry import reaction
from webapp.rendering.tex import MACROS, readable

# The commands and environments that answers of models use, beside those that are often near them.
FORMULAS = r"""
x^2
\frac{a}{b}+\dfrac{a}{b}+\tfrac12+\cfrac{1}{2}
\binom{n}{k}
\sqrt[3]{x}
\int_0^1 f\,dx
\operatorname{argmax}_x \operatorname*{argmax}_{x}
a \bmod b \pmod{n}
a_1, \ldots, a_n \dots \dotsc \dotsb \hdots \cdots
A \implies B \iff C \impliedby D
\xrightarrow[a]{b}
\text{if $x>0$ and a_b & c \% 50% #1}
\mbox{for all } x
\textnormal{x}\textbf{x y}\textit{z $y$}
\cancelto{0}{x}
\left. x \right|_0
\left\{ x \right.
\left\langle x \middle| y\right\rangle
\left\| x\right\|
\big|x\big| \bigg( \Bigl[ x \Bigr]
\abs{x} \norm{\vec{x}}
\ket{\psi}\bra{\phi}\braket{a|b}
\ketbra{a}{b}\expval{x}
\dv{f}{x}\pdv{f}{x}\dd x
\Tr A \rank A
\hspace{1em}\hspace*{1em}\vspace{1em}
\smash{x}
\textcolor{#ff0000}{x}\textcolor{red}{y}\color{blue}z {\color{green} q}
\textcolor[rgb]{1,0,0}{x}
\colorbox{yellow}{x_1} \fcolorbox{red}{yellow}{$x$}
\href{https://a.b/c_d%20?x=1&y#z}{x^2}
\url{https://a.b}
\label{a}x \nonumber \notag
\eqref{eq:a_b} \ref{a}
x\tag{1}
x\tag*{Eq. 1}
x\tag{$*$}
\sum_{\substack{i<n\\j<m}} a_{ij}
\ce{H2O} \ce{SO4^2-} \ce{2H2 + O2 -> 2H2O}
\pu{5 kg}
\SI{5}{kg}
\tiny x \Large y
\large\textbf{x}
\rlap{x}
\begin{array}{|c|c|}\hline a&b\\\hline c&d\\\hline\end{array}
\left[\begin{array}{cc|c}1&2&3\\3&4&5\end{array}\right]
\begin{cases}a&\text{if }x>0\\b&\text{otherwise}\end{cases}
\begin{align}a&=b\label{x}\\c&=d\tag{2}\end{align}
\begin{align*}a&=b\\[2pt]c&=d\\[1.5em]e\end{align*}
\begin{aligned}a&=b\tag{1}\\c&=d\end{aligned}
\begin{equation}\begin{split}a&=b\\c&=d\end{split}\end{equation}
\begin{split}a&=b\\c&=d\end{split}
\begin{alignat}{2}a&=b\\c&=d\end{alignat}
\begin{alignedat}{2}a&=b\\c&=d\end{alignedat}
\begin{eqnarray}a&=&b\\c&=&d\end{eqnarray}
\begin{gather}a\\b\end{gather}
\begin{gathered}a\\b\end{gathered}
\begin{multline}a\\b\end{multline}
\begin{flalign}a&=b\\c&=d\end{flalign}
\begin{subequations}\begin{align}a&=b\end{align}\end{subequations}
\begin{smallmatrix}1&2\\3&4\end{smallmatrix}
\begin{pmatrix}1&2\\3&4\end{pmatrix}\begin{bmatrix}1\end{bmatrix}\begin{vmatrix}1\end{vmatrix}\begin{Vmatrix}1\end{Vmatrix}\begin{Bmatrix}1\end{Bmatrix}
\begin{bmatrix*}[r]1&2\\3&4\end{bmatrix*}
a\\b
a&=b\\c&=d
a \\[2pt] b
\mathop{\arg\min}\limits_{x}
\mathop{\mathrm{arg\,max}}\limits_{x}
\sum\limits_{i=1}^n \int\limits_0^1 \max\limits_x \lim\limits_{x\to0}
\underset{x}{\arg\max}
√2
50\% and 50%
# x
\boxed{x=\text{a $b$}}
\underbrace{a+b}_{\text{sum}}
\overset{!}{=}
\widetilde{ab}\widehat{ab}\overline{ab}\overrightarrow{AB}
\cancel{x}\bcancel{x}\xcancel{x}
\mathrm{d}x \mathbb{R} \mathcal{L} \mathscr{F} \mathfrak{g} \mathbf{x} \boldsymbol{\alpha} \bm{x}
\displaystyle\sum \quad \qquad \, \; \: \!
\mathds{1}\mathbbm{1}
\mathrlap{x}
\varlimsup_{n}
\nicefrac{1}{2}
\stackrel{a}{b}
{n \choose k} {a \over b}
\R \N \Z \Q \C \E
\Var(X) \Cov(X) \diag(x)
\hbox{x}
\phantom{x}\vphantom{x}
\text{\textbf{x}}
\text{a}\text{ (b) }
\degree \celsius 90^\circ
\raisebox{1pt}{x}
\sideset{_a}{^b}\sum
\xlongequal{a}\xRightarrow{a}\xleftrightarrow{a}\xmapsto{a}
\not\in \not=
f'(x) f''
\lvert x\rvert \lVert x\rVert
\langle x, y\rangle
\textsuperscript{a}
x_{\text{max}}^{2}
\newline
\limsup_{n\to\infty} \sup \inf
\boldsymbol{\mathbf{x}}
\mathbb{E}_{x \sim p(x)}\left[ f(x) \right]
\frac{\partial^2 u}{\partial t^2} = c^2 \nabla^2 u
\oint_{\partial \Sigma} \mathbf{E}\cdot d\boldsymbol{\ell}
P(A \mid B) = \frac{P(B \mid A)\,P(A)}{P(B)}
\left(\begin{matrix}a\\b\end{matrix}\right)
\color{red}{x}
\unit{m/s}
\num{1e5}
\ang{90}
\therefore \because
\left\lfloor \frac{n}{2} \right\rfloor \left\lceil x \right\rceil
\bigl\lvert x\bigr\rvert
\overbrace{a}^{b}
\xleftarrow{f}
\mathring{A}
\prescript{14}{6}{C}
\textstyle\sum_i
\genfrac{(}{)}{0pt}{}{n}{k}
\operatorname{Re}(z) \Re \Im
\Pr[X]
\lim_{\substack{x\to0\\y\to0}}
\bigcup_{i\in I} A_i
\text{中文}
\text{50\%}
\textrm{d}x
\mathrm{kg\cdot m/s^2}
\mathrm{kg~m}
\rm{x}
\bf{x}
\mathit{x}\mathsf{x}\mathtt{x}
\vec{\mathbf{x}}
\dot{x}\ddot{x}
\underline{x}
\leqslant \geqslant
\triangleq \coloneqq :=
\lbrace x \rbrace
\{x\}
\| x \|
\mathstrut
\kern 3pt x \mkern3mu
\hfill \square
\blacksquare
\tag{1.2a}
\begin{array}{c}a\\ \hline b\end{array}
\begin{array}{rl}a&=b\\&=c\end{array}
\begin{array}{l@{\quad}l}a&b\end{array}
\begin{array}{ccc} & & 1 \\ & 2 & \\ \hline 3 & 4 & 5 \end{array}
\begin{cases} x & x \geq 0, \\[4pt] -x & \text{if } x < 0. \end{cases}
\left\{ \begin{array}{ll} a & b \\ c & d \end{array} \right.
\begin{equation*} a = b \end{equation*}
\begin{tabular}{cc}a&b\end{tabular}
\,^{\circ}\text{C}
25\,^\circ\mathrm{C}
\$5
\text{cost} = \$5
\xrightarrow{\text{heat}}
\xrightarrow{}
\xrightarrow[\Delta]{}
\ce{->}
\begin{matrix}a&b\end{matrix}
\bar{x}\pm 1.96\frac{s}{\sqrt{n}}
O(n \log n)
\Theta\left(n^2\right)
\underbrace{1+1+\dotsb+1}_{n\text{ times}}
\Bigg\{ x \Bigg\}
\left.\frac{dy}{dx}\right|_{x=0}
\left[ 0,1 \right)
\overline{z}z
\lnot p \lor q \land r
\vdash \models
\emptyset \varnothing \setminus
\mathbf{A}^\top \mathbf{A}^{\mathsf T} A^{\dagger} A^\ast
\upharpoonright \restriction
\bigl( x \bigr)
\rightleftharpoons \leftrightarrow \longrightarrow \mapsto \hookrightarrow
\hat{y}_i \hat{\boldsymbol\beta}
\ell \hbar
\tfrac{1}{2}\mathrm{tr}(A)
\overparen{AB} \overgroup{AB} \wideparen{AB}
\stackrel{\text{def}}{=}
\overset{\text{def}}{=}
\mathrel{\overset{d}{\to}}
\ggg \lll
\xhookrightarrow{f}
\iint_D \iiint_V
\operatorname{sgn}(x)
\mathsf{NP}
\dfrac{1}{1+\dfrac{1}{x}}
""".strip().split("\n")

# A line of text, and how many formulas it holds.
FORMULAS_IN_WORDS = r"""
设$f(x)=x^2$，则导数为$2x$。其中$n$是正整数。 | 3
the $i$th element at 25$^\circ$C, 3$\times$5 | 3
We have $ f(x) = x^2 $ here. | 1
관수$f$는 $x$에서 | 2
関数$f(x)$は、$x$で | 2
$x$-axis, $x$, ($x$) "$x$" $x$: $x$; $x$! $x$? $x$的 $x$’s $x$'s | 11
H$_2$O and x$^2$ | 2
$p$-value $k$NN $n$th $x_i$th | 4
$2x$ and $10$ and $5!$ and $0.5$ and $1, 2, 3$ | 5
costs $5, then $x$ is it | 1
$3 + 4$ apples $2 \text{ apples}$ $5 \times 3$ | 3
**$x$** and *$y$* | 2
|$x$| or [$x$] | 2
$|x|$ is | 1
$x$和$y$ | 2
（$x$）「$y$」 | 2
if $x \in A$then | 1
$f$(x) | 1
$f(x)$(a) | 1
$y = \begin{cases} 1 & \text{if $x>0$} \\ 0 & \text{else} \end{cases}$ | 1
$-5$ and $+3$ and $<$ | 3
$a$/$b$ and $x$=$y$ | 4
$ \alpha $ and $ x_1 $ | 2
при $x>0$и | 1
값$x$은 | 1
$x$,$y$ and $A$–$B$ | 4
$\$5$ is | 1
$100\%$ | 1
$5 \mod 3$ $7 mod 3$ | 2
$x$ costs $5 or $6 | 1
中$x$中$y$中 | 2
A$\to$B | 1
10$\,$m 5$\mu$m | 2
""".strip().split("\n")

NO_FORMULAS = r"""
$5 and $10
US$5
$5k–$10k
$1,000.50
It is US$5 or US$10, A$5-A$6
$HOME and $PATH
$PATH:$HOME
$HOME/$PATH, $MY_VAR/$OTHER_VAR, $MY_VAR$OTHER
5$ and 6$
5$-6$ 5$, 6$
$5-$10 $5–$10 $5/$10 $5M-$6M
价格是$5到$10，支付$100，然后$200
这件$5，那件5$
$100元和50$
I have $5, you have 7$.
It costs $5 (five) or 7$
~$5M (€4M) and ~$6M
**$AAPL**, **$TSLA** ($AAPL)($TSLA) $AAPL/$TSLA
$AAPL、$TSLA
用$HOME和$PATH变量
$(pwd)/$(date) ${A}/${B} ${A}${B}
"$HOME" "$PATH" "$1" "$2" $1 and $@
$x = $y + 1
the price in $ is x and in $ is
$a->b($c)
$_GET['a'] . $_POST['b'] $_GET/$_POST
$5/month vs $7/month
$5 million to $10 million
$5,000,000 and $6,000,000.
costs $5. The other costs $6.
costs $5? No, 6$!
$20/$30/$40
$5+$6=$11
$0.99/$1.99
from $5 to 10$
between 5$ and 10$ or $7
$12.50 (was $15.00)
$1.5bn, $2bn
-$5 and +$6
$5 (or 6$)
""".strip().split("\n")

# A text, and how many formulas it holds.
BLOCKS = [
    ("text: $$x^2$$ more", 1),
    ("text $$\nx\n= y\n$$ more", 1),
    ("$$\nx\n$$.", 1),
    ("$$x$$,", 1),
    ("\\[\nx\n\\],", 1),
    ("- a\n\n    $$\n    x\n    $$", 1),
    ("1. a\n\n    \\[\n    x = y\n    \\]", 1),
    ("1. a\n   \\[ x \\]", 1),
    ("> $$\n> x\n> $$", 1),
    ("> \\[\n> x\n> \\]", 1),
    ("| a | b |\n|---|---|\n| $x^2$ | \\(y\\) |\n| $$z$$ | \\[w\\] |\n| $a\\|b$ | $\\lvert x\\rvert$ |", 6),
    ("    $$\n    x\n    $$", 1),
    ("    \\[\n    x\n    \\]", 1),
    ("Then:\n    \\[\n    x\n    \\]\nend", 1),
    ("\\begin{alignat}{2}\na &= b\n\\end{alignat}", 1),
    ("\\begin{eqnarray}\na &=& b\n\\end{eqnarray}", 1),
    ("\\begin{align}\na &= b \\\\\nc &= d\n\\end{align}.", 1),
    ("$$ x\n$$", 1),
    ("$$\nx $$", 1),
    ("**Formula**: \\[\nx\n\\]", 1),
    ("* $x$\n* \\[\n  x\n  \\]", 2),
    ("$$\n\\begin{aligned}\na &= b \\\\\n- c &= d\n\\end{aligned}\n$$", 1),
    ("\\begin{cases}\nx\n\\end{cases}", 1),
    ("\\begin{pmatrix}\nx\n\\end{pmatrix}", 1),
    ("\\[ x \\] \\[ y \\]", 2),
    ("$$x$$ $$y$$", 2),
    ("$$\nx\n$$ (1)", 1),
    ("\\begin{displaymath}\nx\n\\end{displaymath}", 1),
    ("# $x$", 1),
    ("\\\\(x\\\\)", 0),
    ("\\\\[x\\\\]", 0),
    ("$`x^2`$", 1),
]


def text_of(html: str) -> str:
    return unescape(re.sub(r"<[^>]*>", "", html))


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_command_of_an_answer_becomes_mathml(formula):
    html = render(f"$$\n{formula}\n$$")

    assert "<math" in html
    assert "<code" not in html
    assert not re.search(r"\\[a-zA-Z]", text_of(html))


@pytest.mark.parametrize("formula", [formula for formula in FORMULAS if "$" not in formula])
def test_so_it_does_in_a_line(formula):
    html = render(f"a \\({formula}\\), b ${formula}$.")

    assert html.count("<math>") == 2
    assert "<code" not in html


@pytest.mark.parametrize("line", FORMULAS_IN_WORDS)
def test_a_formula_is_known_by_what_stands_beside_it(line):
    text, count = line.rsplit(" | ", 1)

    html = render(text)

    assert html.count("<math>") == int(count)
    assert "<code" not in html
    assert "$" not in re.sub(r"<math>.*?</math>|\$[56]", "", html)


@pytest.mark.parametrize(("text", "count"), BLOCKS)
def test_formulas_stand_on_lines_of_their_own_in_lists_quotes_and_tables(text, count):
    html = render(text)

    assert html.count("<math") == count
    assert "<code" not in html


@pytest.mark.parametrize("text", NO_FORMULAS)
def test_money_and_variables_are_no_formulas(text):
    assert "<math" not in render(text)


@pytest.mark.parametrize(
    ("formula", "seen"),
    [
        (r"E = mc^2 \tag{1}", "E=mc2(1)"),
        (r"E \tag*{Eq. 1}", "EEq.\xa01"),
        (r"\eqref{eq:a}, \ref{b}", "(eq:a),b"),
        (r"\label{a} x \nonumber", "x"),
        (r"\href{https://a.org}{x}", "x"),
        (r"\textcolor{#ff0000}{x}", "x"),
        (r"\text{if $x>0$ and a_b}", "if\xa0x>0\xa0and\xa0a_b"),
        (r"50% and \#1", "50%and#1"),
        (r"a \\[2pt] b", "ab"),
        (r"√2 + √{x} + √(y) 50%", "2+x+(y)50%"),
    ],
)
def test_a_reader_sees(formula, seen):
    html = render(f"$${formula}$$")

    assert "<a" not in html
    assert text_of(html).strip() == seen


def test_lines_of_a_formula_without_an_environment_stay_lines():
    assert readable(r"a \\ b") == r"\begin{gathered}a \\ b\end{gathered}"
    assert readable(r"a &= b \\ c &= d") == r"\begin{aligned}a &= b \\ c &= d\end{aligned}"
    assert readable(r"\begin{pmatrix} a \\ b \end{pmatrix}") == r"\begin{pmatrix} a \\ b \end{pmatrix}"


@pytest.mark.parametrize(
    ("source", "tex"),
    [
        ("H2O", r"\mathrm{H}_{2}\mathrm{O}"),
        ("SO4^2-", r"\mathrm{SO}_{4}^{2-}"),
        ("Na+", r"\mathrm{Na}^{+}"),
        ("Fe^{3+}", r"\mathrm{Fe}^{3+}"),
        ("[Fe(CN)6]^3-", r"[\mathrm{Fe}(\mathrm{CN})_{6}]^{3-}"),
        ("2H2 + O2 -> 2H2O", r"2\mathrm{H}_{2} + \mathrm{O}_{2}  \rightarrow  2\mathrm{H}_{2}\mathrm{O}"),
        ("A <=> B", r"\mathrm{A}  \rightleftharpoons  \mathrm{B}"),
        ("->[H2O][heat]", r" \xrightarrow[{\mathrm{heat}}]{\mathrm{H}_{2}\mathrm{O}} "),
        ("CuSO4*5H2O", r"\mathrm{CuSO}_{4}\cdot 5\mathrm{H}_{2}\mathrm{O}"),
        ("CO2 ^", r"\mathrm{CO}_{2} \uparrow "),
        ("AgCl v", r"\mathrm{AgCl} \downarrow "),
        ("^{14}_{6}C", r"^{14}_{6}\mathrm{C}"),
        (r"A ->[\Delta] $x$ B", r"\mathrm{A}  \xrightarrow[{}]{\Delta}  {x} \mathrm{B}"),
        ("HCl(aq)", r"\mathrm{HCl}(\mathrm{aq})"),
    ],
)
def test_chemistry_is_upright_with_its_numbers_lowered(source, tex):
    assert reaction(source) == f"{{{tex}}}"
    assert "<math>" in render(rf"\(\ce{{{source}}}\)")


@pytest.mark.parametrize(
    "formula",
    [
        r"\def\a{\a\a}\a",
        r"\def\a#1{#1#1#1}\a{\a{\a{\a{x}}}}",
        r"\newcommand{\a}{\a\a}\a",
        r"\renewcommand{\abs}[1]{#1#1}\abs{x}",
        r"\gdef\left{}\left(",
        r"\let\a=(\a\a\a",
        r"\providecommand\a{(}\a\a",
    ],
)
def test_a_formula_that_defines_macros_stays_source(formula):
    assert render(f"${formula}$ $x$").startswith('<p dir="auto"><code>')


@pytest.mark.parametrize("name", MACROS)
def test_no_macro_grows_a_formula_by_more_than_a_constant(name):
    uses = re.findall(r"#\d", MACROS[name])

    assert len(uses) == len(set(uses))
    assert len(MACROS[name]) < 60
    assert not re.search(rf"\\{name}(?![a-zA-Z])", MACROS[name])


@pytest.mark.parametrize(
    "piece", [r"\text{", r"\tag{", r"\ce{", r"\ce{A->[", r"\color{red}", r"\tag{x}", "#", r"\\", r"\intertext{x}", "√"]
)
def test_rewriting_grows_a_formula_by_a_constant_factor(piece):
    source = piece * 300

    assert len(readable(source)) < 10 * len(source) + 100


@pytest.mark.parametrize("name", MACROS)
def test_macros_within_macros_are_bounded(name):
    nested = (f"\\{name}" + "{a}" * (MACROS[name].count("#") - 1) + "{") * 290

    html = render(f"$${nested}x{'}' * 290}$$")

    assert len(html) < 100_000


LIVE = [
    *(f"a\n\n{text}\n\nb" for text, _ in BLOCKS),
    *(line.rsplit(" | ", 1)[0] for line in FORMULAS_IN_WORDS),
    *(text for text in NO_FORMULAS if "_GET" not in text),
    *(f"Then ${formula}$ holds." for formula in FORMULAS if "$" not in formula),
    *(f"So\n\n$$\n{formula}\n$$\n\nholds." for formula in FORMULAS[::3]),
    *(f"- a \\({formula}\\) b" for formula in FORMULAS[::3]),
    *(f"> a\n>\n> \\[\n> {formula}\n> \\]\n>\n> b" for formula in FORMULAS[::5]),
]


@pytest.mark.parametrize("text", some(LIVE, 4))
def test_a_growing_text_never_shows_a_formula_raw(text):
    for pieces in [list(text), *cuts(text)[2:]]:
        run(pieces)
        assert_stays(pieces)


# What models were seen to write, and what a reader must see.


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("For $i = 1, 2, \\ldots, n$ we get $a \\implies b$.", 2),
        ("$$\nA \\iff B\n$$", 1),
        ("\\[ E = mc^2 \\tag{1} \\]", 1),
        ("设$f(x)=x^2$，则导数为$2x$。其中$n$是正整数。", 3),
        ("the $i$th element at 25$^\\circ$C, 3$\\times$5", 3),
        ("We have $ f(x) = x^2 $ here.", 1),
    ],
)
def test_formulas_of_reports_are_formulas(text, count):
    html = render(text)

    assert html.count("<math") == count
    assert "<code" not in html
    for pieces in cuts(text):
        run(pieces)
