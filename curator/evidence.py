"""What decisions of this data home say for a mix: the scores of its trials, with intervals, and what was compared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from registry.errors import Refusal
from registry.store import Home, read_record
from registry.trial import DECISION_FILE, Decision, MixOutcome

Role = Literal["selected", "baseline", "all"]
ROLES: tuple[Role, ...] = ("selected", "baseline", "all")


@dataclass(frozen=True)
class Evidence:
    """One decision that measured the mix, and what the mix was to it."""

    place: str
    """Where it lies in the data home."""
    digest: str
    role: Role
    decision: Decision

    def outcome(self, role: Role) -> MixOutcome | None:
        """How one of the mixes that the decision compares did."""
        found: MixOutcome | None = getattr(self.decision, role)
        return found


def evidence_for(home: Home, content_digest: str) -> list[Evidence]:
    """Every decision whose selected, baseline or all-in mix is the one of this content, by name."""
    trained = {
        read_record(folder).digest
        for folder in home.finished("trials")
        if read_record(folder).inputs.get("mix") == content_digest
    }
    found = []
    for folder in home.finished("decisions"):
        decision = read_decision(folder)
        role = next((role for role in ROLES if _trials(decision, role) & trained), None)
        if role is not None:
            found.append(Evidence(f"decisions/{folder.name}", read_record(folder).digest, role, decision))
    return found


def read_decision(folder: Path) -> Decision:
    """The decision in a finished folder; raises Refusal when it is damaged."""
    path = folder / DECISION_FILE
    try:
        return Decision.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise Refusal(str(path), f"damaged ({reason})", "remove the folder and run 'curator select' again") from None


def _trials(decision: Decision, role: Role) -> set[str]:
    outcome: MixOutcome | None = getattr(decision, role)
    return set(outcome.trials) if outcome else set()
