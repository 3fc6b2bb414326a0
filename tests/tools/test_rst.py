"""Docstrings as Markdown."""

from __future__ import annotations

from tools.rst import to_markdown


def _whole(name: str) -> str:
    return name if name.startswith("lfp_snn") else f"lfp_snn.here.{name}"


def _markdown(text: str) -> str:
    return to_markdown(text, _whole)


def test_roles_are_links_to_the_whole_name() -> None:
    assert _markdown("See :class:`~lfp_snn.rules.Norm` and :meth:`.split`.") == (
        'See <autoref identifier="lfp_snn.rules.Norm" optional><code>Norm</code></autoref> and '
        '<autoref identifier="lfp_snn.here.split" optional><code>split</code></autoref>.\n'
    )


def test_code_has_one_backtick() -> None:
    assert _markdown("A tensor ``[T, B]`` or ``None``.") == "A tensor `[T, B]` or `None`.\n"


def test_formulas_keep_their_words_and_lose_their_lines() -> None:
    text = "With :math:`a_t`:\n\n.. math::\n\n    a_t = b\n    + c\n\nand so on."
    assert _markdown(text) == "With \\(a_t\\):\n\n\\[a_t = b + c\\]\n\nand so on.\n"


def test_a_formula_may_stand_beside_its_directive() -> None:
    assert _markdown("    .. math:: x = y\n\n    Then.") == "    \\[x = y\\]\n\n    Then.\n"


def test_an_example_is_a_block_of_python() -> None:
    text = "Text.\n\nExample::\n\n    a = 1\n    if a:\n        b = 2\n\nMore."
    assert _markdown(text) == (
        "Text.\n\n**Example**\n\n```python\na = 1\nif a:\n    b = 2\n```\n\nMore.\n"
    )


def test_a_table_keeps_every_cell() -> None:
    text = (
        "Before.\n\n"
        "====== ============\n"
        "rule   what it does\n"
        "       in short\n"
        "====== ============\n"
        "norm   by size\n"
        "pass   ``|x|``, no\n"
        "       memory\n"
        "====== ============\n\n"
        "After."
    )
    assert [line for line in _markdown(text).splitlines() if line] == [
        "Before.",
        "| rule | what it does in short |",
        "| --- | --- |",
        "| norm | by size |",
        r"| pass | `\|x\|`, no memory |",
        "After.",
    ]


def test_what_is_markdown_already_stays() -> None:
    text = "One *word*.\n\n- a list\n- of two\n\nArgs:\n    x: `[T, B]`.\n"
    assert _markdown(text) == text
