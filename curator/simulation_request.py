"""The options of ``curator simulate``, and the rows that they ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from curator.error_rates import Arm
from curator.simulation import Setting
from registry.discovery import load_module, names, package_folder
from registry.errors import Refusal
from registry.scale import load_scale
from registry.trial import DecisionRule

STRATEGIES = "curator.strategies"
PAPER_MARGINS = (0.0, 1.0, 3.0)
"""The paper leaves its margin open: none, one standard deviation of a difference, and ours."""


@dataclass(frozen=True)
class SimulationRequest:
    """The options of the command."""

    world: str = "measured"
    strategies: tuple[str, ...] = ()
    scale: str = "demo"
    seeds: int = 2
    max_seeds: int = 4
    margin: float = 3.0
    errors_over: Literal["candidate", "category", "study"] = "candidate"
    paper_margins: tuple[float, ...] = ()
    noise_factor: float = 1.0
    uncalibrated: bool = False
    overlap: float = 0.0
    seed: int = 0

    def setting(self) -> Setting:
        """The world; raises Refusal where there is none, or no noise to draw."""
        scale = load_scale(self.scale)
        if scale.noise is None:
            raise Refusal(f"scale '{self.scale}'", "its noise was never calibrated", "name one with a 'noise' block")
        setting = Setting(
            world=self.world,
            noise=scale.noise,
            told=not self.uncalibrated,
            noise_factor=self.noise_factor,
            overlap=self.overlap,
            margin=self.margin,
            seed=self.seed,
        )
        setting.check()
        return setting

    def arms(self) -> list[Arm]:
        """Every strategy with our rule, ``individual`` first, then ``individual`` with the paper's."""
        known = names(package_folder(STRATEGIES), ".py")
        chosen = list(dict.fromkeys(self.strategies)) or sorted(known, key=lambda name: (name != "individual", name))
        for name in chosen:
            load_module(STRATEGIES, name, "strategy")
        ours = DecisionRule(
            seeds=self.seeds,
            max_seeds=max(self.seeds, self.max_seeds),
            comparable_margin=self.margin,
            errors_over=self.errors_over,
        )
        margins = self.paper_margins or PAPER_MARGINS
        papers = [DecisionRule(by="paper", seeds=1, max_seeds=1, comparable_margin=margin) for margin in margins]
        rows = [Arm(name, ours) for name in chosen]
        return rows + [Arm("individual", rule) for rule in papers if "individual" in chosen]
