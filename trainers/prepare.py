"""Make a loaded checkpoint ready for a stage: template tried, pictures' shape set, modules frozen or not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from registry.trial import Stage
from trainers.chat import template
from trainers.model import Checkpoint, freeze
from trainers.tokenizer_check import check_tokenizer


def prepare(checkpoint: Checkpoint, stage: Stage, seed: int) -> tuple[Checkpoint, dict[str, Any]]:
    """The checkpoint as the stage trains it, and the freeze plan; Refusal when tokenizer and template don't fit.

    With ``stage.lora`` the model in memory is changed for good: give one that nobody else uses.
    """
    check_tokenizer(checkpoint.tokens, template(stage.template))
    ready = replace(checkpoint, pictures=checkpoint.pictures.model_copy(update={"fit": stage.fit}))
    if stage.lora is not None:
        from trainers.lora import add_lora  # loads peft

        add_lora(ready, stage.lora, seed)
    return ready, freeze(ready, stage.trains)
