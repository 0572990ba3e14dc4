"""A model's replies to a benchmark, and their score by the published rules.

Written beside the record of the trial or the model (aside, then renamed; the score file last), so a score that is there
is whole and is never made again; replies are kept as they come (``registry.kept_replies``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from registry.answers import check_rules
from registry.benchmark import Question, load_benchmark
from registry.checkpoint import CHECKPOINT
from registry.errors import Refusal
from registry.identity import file_digest
from registry.sample import make_message
from registry.scores import Replying, load_score, score_path
from registry.sheet import Ask, Batches, Marking, Sheet, Tell, make_score, read_sheet
from registry.store import Home, read_record
from registry.trial import BenchmarkScore, Settings
from trainers.any_model import AnyModel
from trainers.chat import Template, template
from trainers.features import Features
from trainers.forward import Network
from trainers.generate import reply_batches
from trainers.model import Checkpoint, freeze
from trainers.requests import Asked, ModelScoreRequest, ScoreRequest
from trainers.sharing import Prompt
from trainers.tokens import Encoded
from trainers.train import prepare_torch
from trainers.workshop import Workshop


def score_trial(workshop: Workshop, request: ScoreRequest, tell: Tell) -> tuple[BenchmarkScore, bool]:
    """Score unless it is there. ``(score, whether it was there)``."""
    folder = _folder(request, "trials", request.trial)
    settings = Settings.model_validate(read_record(folder).settings)
    form = template(settings.stage.template)
    return _score(workshop, request, folder, (folder / CHECKPOINT, form), tell)


def score_model(workshop: Workshop, request: ModelScoreRequest, tell: Tell) -> tuple[BenchmarkScore, bool]:
    """The same for a model that is no trial: asked in a template of ours, or in that of its own processor."""
    folder = _folder(request, "models", request.model)
    read_record(folder)
    form = template(request.template) if request.template is not None else None
    return _score(workshop, request, folder, (Path(request.checkpoint), form), tell)


def _folder(request: Asked, stage: str, name: str) -> Path:
    if Path(name).name != name:
        raise Refusal(f"'{name}'", "is not a folder name", f"name a folder of the home's {stage}/")
    return Home(Path(request.home)).stage(stage) / name


def _score(
    workshop: Workshop, request: Asked, folder: Path, model: tuple[Path, Template | None], tell: Tell
) -> tuple[BenchmarkScore, bool]:
    check_rules(request.rules)
    benchmark = load_benchmark(request.benchmark)
    table = Path(request.table)
    if not table.is_file():
        raise Refusal(str(table), "there is no such benchmark table", "give the published TSV file")
    marking = Marking(benchmark, request.rules, file_digest(table), request.answer_by, request.limit)
    identity = (request.benchmark, benchmark.VERSION, request.rules, marking.table_digest)
    path = score_path(folder, *identity, Replying(request.max_new_tokens, request.answer_by, request.limit))
    if path.is_file():
        return load_score(path), True
    prepare_torch(request.runtime)
    key = f"sheet {request.benchmark} {marking.table_digest} {request.limit}"
    sheet = workshop.remember(key, lambda: read_sheet(benchmark, table, request.limit))
    texts, ask = _asker(workshop, request, key, sheet, *model)
    return make_score(path, sheet, texts, ask, marking, tell), False


def _asker(
    workshop: Workshop, request: Asked, key: str, sheet: Sheet, checkpoint: Path, form: Template | None
) -> tuple[list[str], Ask]:
    """What the model reads of each question, and how it is asked."""
    if form is None:
        model = AnyModel(checkpoint)
        texts = [model.prompt(text, len(images)) for text, images in zip(sheet.asked, sheet.images, strict=True)]
        return texts, lambda numbers: model.ask(sheet, texts, numbers, request)
    if not form.asks:
        what = f"was trained with template '{form.name}', which has no place for a question"
        raise Refusal(str(checkpoint), what, "score a model of a later stage, or name another template")
    own = OwnModel(workshop, checkpoint, form, f"{key} {form.name}")
    texts = workshop.remember(own.key, lambda: own.prompts(sheet))
    return texts, lambda numbers: own.ask(sheet, texts, numbers, request)


@dataclass(frozen=True)
class OwnModel:
    """A LLaVA checkpoint that is asked in one of our templates."""

    workshop: Workshop
    folder: Path
    form: Template
    key: str
    """Names the sheet and the template in the memory of the process."""

    def prompts(self, sheet: Sheet) -> list[str]:
        """What the model reads, template included."""
        return [self._text(text, images) for text, images in zip(sheet.asked, sheet.images, strict=True)]

    def ask(self, sheet: Sheet, texts: Sequence[str], numbers: list[int], request: Asked) -> Batches:
        """Replies to the questions of these numbers."""
        checkpoint = self.workshop.checkpoint(self.folder)
        freeze(checkpoint, [])
        network = Network(checkpoint, Features(checkpoint, sheet.read, self.workshop.pictures))
        tokens = self.workshop.remember(
            f"{self.key} {self.workshop.tokens_key(checkpoint)}",
            lambda: checkpoint.tokens.encode_prompts(texts, checkpoint.image_tokens),
        )
        letters = self._letters(checkpoint, sheet, texts, numbers) if request.answer_by == "likelihood" else {}
        prompts = [Prompt(tokens[n], sheet.images[n], tuple(letters.get(n, {}))) for n in numbers]
        stop = checkpoint.tokens.single(self.form.stop)
        for batch in reply_batches(network, prompts, stop, request.max_new_tokens):
            yield {
                numbers[place]: letters[numbers[place]][reply[0]]
                if numbers[place] in letters
                else checkpoint.tokens.decode(reply).strip()
                for place, reply in batch
            }

    def _text(self, text: str, images: tuple[str, ...], reply: str | None = None) -> str:
        asked = make_message("user", text, len(images))
        if reply is None:
            return self.form.prompt([asked])
        return self.form.render([asked, make_message("assistant", reply)]).text

    def _letters(
        self, checkpoint: Checkpoint, sheet: Sheet, texts: Sequence[str], numbers: list[int]
    ) -> dict[int, dict[int, str]]:
        """Question -> the token each option's letter begins with -> the letter, for questions with options."""
        found: dict[int, dict[int, str]] = {}
        known: dict[str, int] = {}
        for number in numbers:
            question: Question = sheet.questions[number]
            for letter in question.options if len(question.options) > 1 else ():
                if letter not in known:
                    known[letter] = self._first_token(checkpoint, texts[number], sheet, number, letter)
                found.setdefault(number, {})[known[letter]] = letter
            if len(found.get(number, {})) < len(question.options) > 1:
                what = "begins the letters of two options with the same token"
                raise Refusal(str(self.folder), what, "score it without --answer-by likelihood")
        return found

    def _first_token(self, checkpoint: Checkpoint, prompt: str, sheet: Sheet, number: int, letter: str) -> int:
        whole = self._text(sheet.asked[number], sheet.images[number], letter)
        asked: Encoded
        asked, replied = checkpoint.tokens.encode_prompts([prompt, whole], checkpoint.image_tokens)
        if replied.ids[: len(asked)].tolist() != asked.ids.tolist():
            what = "joins the end of the question and the option's letter in one token"
            raise Refusal(str(self.folder), what, "score it without --answer-by likelihood")
        return int(replied.ids[len(asked)])
