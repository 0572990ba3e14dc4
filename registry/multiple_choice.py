"""Multiple choice as published: the prompt, plain and circular accuracy, and the report by ability.

Benchmarks with lettered options share these rules and differ in little more than their table (``registry/benchmarks``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from registry.answers import check_rules, option_letter
from registry.benchmark import (
    DEFAULT,
    LLAVA,
    NOBODY,
    Answer,
    Index,
    Judged,
    JudgeRequest,
    Question,
    Result,
    check_replies,
)
from registry.errors import Refusal
from registry.table import MISSING_WORDS, Row, reply_as_read

CIRCLE = 1_000_000
"""The k-th rotated variant of question i has index ``i + k * CIRCLE``."""

ABILITIES = {
    "coarse_perception": "CP",
    "finegrained_perception (instance-level)": "FP-S",
    "finegrained_perception (cross-instance)": "FP-C",
    "logic_reasoning": "LR",
    "relation_reasoning": "RR",
    "attribute_reasoning": "AR",
}
"""Published short names of MMBench's six abilities (column ``l2-category``)."""

_CHINESE = re.compile("[\u4e00-\u9fff]")
_REQUESTS = {
    # (has options, Chinese) -> the request that closes the prompt
    (True, False): "Answer with the option's letter from the given choices directly.",
    (True, True): "请直接回答选项字母。",
    (False, False): "Answer the question directly.",
    (False, True): "请直接回答问题。",
}

_JUDGE_REQUESTS = {
    False: """\
Somebody was asked a question about a picture and replied in their own words. Tell which of the options the reply \
means. You do not see the picture; do not answer the question yourself. Say the letter of that option alone, or Z if \
the reply means none of them.

Question: {question}
Options:
{options}
Reply: {reply}
Letter:""",
    True: """\
有人就一张图片被问了一个选择题，并用自己的话作了回答。请判断这个回答与哪一个选项的意思一致。你看不到图片，\
也不要自己回答问题。只写出该选项的字母；如果与任何选项都不一致，请写 Z。

问题：{question}
选项：
{options}
回答：{reply}
字母：""",
}


def prompt(question: Question, style: str = LLAVA) -> str:
    """LLaVA's form: hint, question, one line per option, the request; no line end after it. Or the default one."""
    hint = question.row.get("hint")
    if style == DEFAULT:
        return _default_prompt(question, hint)
    lines = [*([hint] if hint else []), question.text]
    lines += [f"{letter}. {text}" for letter, text in question.options.items()]
    body = "\n".join(lines)
    return f"{body}\n{_REQUESTS[bool(question.options), bool(_CHINESE.search(body))]}"


def _default_prompt(question: Question, hint: str | None) -> str:
    """Hint, question and options under their names; every line ends, the last one behind a blank."""
    lines = [*([f"Hint: {hint}"] if hint else []), f"Question: {question.text}"]
    if question.options:
        lines += ["Options:", *(f"{letter}. {text}" for letter, text in question.options.items())]
        lines.append("Please select the correct answer from the options above. ")
    return "".join(f"{line}\n" for line in lines)


def judge_request(question: Question, reply: str, rules: str) -> JudgeRequest | None:
    """What a judge is asked of a reply that names no option; in Chinese where the question is."""
    said = reply_as_read(reply)
    if option_letter(said, question.options, rules) is not None:
        return None
    request = _JUDGE_REQUESTS[bool(_CHINESE.search(question.text))]
    options = "\n".join(f"{letter}. {text}" for letter, text in question.options.items())
    text = request.format(question=question.text, options=options, reply=said)
    return JudgeRequest(text, lambda letter: option_letter(letter, question.options, rules) is not None)


def circular_group(row: Row) -> str:
    """The main index a row is a variant of: column ``g_index``, else its index modulo a million."""
    given = row.cells.get("g_index")
    return given or str(row.index % CIRCLE if isinstance(row.index, int) else row.index)


@dataclass(frozen=True)
class Identity:
    """Name and version that go into a result."""

    name: str
    version: int


def score(
    benchmark: Identity,
    questions: Sequence[Question],
    replies: Mapping[Index, str],
    rules: str,
    judged: Judged = NOBODY,
) -> Result:
    """Accuracy over groups: a group counts when every prompt of it is answered right.

    With groups of one prompt that is the plain accuracy. A group is scored only if its main prompt (whose index is
    the group's name) is there; whatever variants are there must all be right. The main prompt gives the category. What
    a judge said of a reply without a letter is read by the same rules.
    """
    check_rules(rules)
    check_replies(benchmark.name, questions, replies)
    answers = [_graded(benchmark.name, q, replies[q.index], rules, judged.get(q.index)) for q in questions]
    mains = {question.group: question for question in questions if str(question.index) == question.group}
    hits = dict.fromkeys(mains, True)
    for answer in answers:
        if answer.group in hits:
            hits[answer.group] &= answer.hit
    counted = _headline(mains)
    items = {group: float(hit) for group, hit in hits.items() if group in counted}
    if not items:
        raise Refusal(f"benchmark {benchmark.name}", "no main question among the rows", "score the whole table")
    by_ability = _means(items, {group: mains[group].row.get("l2-category", "") for group in items})
    overall = 100 * sum(items.values()) / len(items)
    return Result(
        benchmark=benchmark.name,
        version=benchmark.version,
        rules=rules,
        headline="overall",
        score=overall,
        metrics={"overall": overall} | {ABILITIES.get(name, name): mean for name, mean in by_ability.items()},
        breakdown=_means(items, {group: mains[group].category for group in items}),
        items=items,
        answers=answers,
        unresolved=sum(not answer.extracted for answer in answers),
        notes=[*trap_notes(questions, replies), *_group_notes(questions, mains, items)],
    )


def trap_notes(questions: Sequence[Question], replies: Mapping[Index, str]) -> list[str]:
    """What the published way of reading tables changed, counted (table.py says what it is)."""
    rows = [question.index for question in questions if question.altered]
    lost = sum(replies[question.index] in MISSING_WORDS for question in questions)
    notes = []
    if rows:
        few = ", ".join(map(str, rows[:5])) + (", …" if len(rows) > 5 else "")
        notes.append(f"{len(rows)} prompts have a cell the published rules lose or rewrite (index {few})")
    if lost:
        notes.append(f"{lost} replies are words the published rules read as missing ('None', 'NA', empty …)")
    return notes


def _graded(benchmark: str, question: Question, reply: str, rules: str, judged: str | None) -> Answer:
    if not question.answer:
        where = f"benchmark {benchmark}, index {question.index}"
        raise Refusal(where, "the table has no answer for it", "use a split with answers (dev, val)")
    letter = option_letter(reply_as_read(reply), question.options, rules)
    asked = letter is None and judged is not None
    if asked:
        letter = option_letter(judged or "", question.options, rules)
    return Answer(question.index, question.group, letter or "", letter == question.answer, judged=asked)


def _headline(mains: Mapping[str, Question]) -> set[str]:
    """The groups of the headline figure: split ``dev`` where the table has one, else all."""
    return {group for group, main in mains.items() if main.row.get("split") == "dev"} or set(mains)


def _means(items: Mapping[str, float], names: Mapping[str, str]) -> dict[str, float]:
    """Mean x 100 by name, sorted; groups without a name are left out."""
    cells: dict[str, list[float]] = {}
    for group, value in items.items():
        if names[group]:
            cells.setdefault(names[group], []).append(value)
    return {name: 100 * sum(values) / len(values) for name, values in sorted(cells.items())}


def _group_notes(questions: Sequence[Question], mains: Mapping[str, Question], items: Mapping[str, float]) -> list[str]:
    notes = []
    orphans = {question.group for question in questions} - set(mains)
    if orphans:
        notes.append(f"{len(orphans)} groups without their main question are not scored")
    spoilt = sum(question.answer not in question.options for question in questions)
    if spoilt:
        notes.append(f"{spoilt} prompts have no option of the letter that is right: no reply to them is")
    if len(items) < len(mains):
        notes.append(f"{len(mains) - len(items)} questions of other splits than dev are not in the score")
    return notes
