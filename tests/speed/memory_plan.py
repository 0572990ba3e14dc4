"""Memory on each GPU and bytes that go between GPUs in a step, for the paper's model sizes: arithmetic, no run.

    python -m tests.speed.memory_plan

The table behind docs/decisions.md on pipeline parallel. Stage: SFT (adapter and language model), bf16, 32-bit weights
and moments, rows of 4,096 tokens, one row at once, layers recomputed.
"""

from __future__ import annotations

from registry.memory import GIB, Sizes, in_gib, memory_of
from registry.trial import Runtime, Stage

TOWER = {"vision": 304_000_000, "vision_layers": 24, "vision_width": 1024, "vision_mlp": 4096}
ROWS = 32


def llama(layers: int, width: int, key_width: int, mlp: int, vocabulary: int) -> Sizes:
    """A Llama-shaped decoder on CLIP ViT-L/14-336."""
    return Sizes(
        **TOWER,
        adapter=1024 * width + width * width + 2 * width,
        layers_total=layers * (2 * width * width + 2 * width * key_width + 3 * width * mlp + 2 * width),
        rest=2 * vocabulary * width + width,
        layers=layers,
        width=width,
        key_width=key_width,
        mlp=mlp,
        vocabulary=vocabulary,
    )


SHAPES = {
    "LLaVA-1.5 7B": llama(32, 4096, 4096, 11008, 32064),
    "LLaVA-1.5 13B": llama(40, 5120, 5120, 13824, 32064),
    "Yi 34B": llama(60, 7168, 1024, 20480, 64064),
}
WAYS = {
    "1 GPU": Runtime(micro_rows=1, recompute=True),
    "8 DDP": Runtime(micro_rows=1, recompute=True, processes=8, parallel="ddp"),
    "8 FSDP2": Runtime(micro_rows=1, recompute=True, processes=8, parallel="fsdp"),
    "8 TP": Runtime(micro_rows=1, recompute=True, processes=8, parallel="tp"),
    "16 FSDP2": Runtime(micro_rows=1, recompute=True, processes=8, nodes=2, parallel="fsdp"),
    "32 FSDP2": Runtime(micro_rows=1, recompute=True, processes=8, nodes=4, parallel="fsdp"),
    "4 FSDP2 x 8 TP": Runtime(micro_rows=1, recompute=True, processes=8, nodes=4, parallel="fsdp+tp", tensor=8),
}


def traffic(sizes: Sizes, runtime: Runtime, rows: int = ROWS, capacity: int = 4096) -> tuple[float, float]:
    """Bytes that a GPU receives in a step: (between data groups, within a layer's group)."""
    shared = runtime.tensor_size
    groups = runtime.processes * runtime.nodes // shared
    own = sizes.layers_total / shared + sizes.rest + sizes.adapter
    share, passes = (groups - 1) / groups, -(-rows // groups // (runtime.micro_rows or rows))
    data = 0.0
    if runtime.parallel == "ddp":
        data = 2 * share * 4 * own
    elif runtime.parallel.startswith("fsdp"):
        data = passes * share * (2 * 2 * own + 4 * own)  # bf16 gathered there and back, 32-bit gradients scattered
    # Two sums over the layer's group on the way there, two on the way back, two more when layers are recomputed.
    sums = (4 + 2 * runtime.recompute) * sizes.layers if shared > 1 else 0
    layer = sums * 2 * (shared - 1) / shared * 2 * (rows / groups) * capacity * sizes.width
    return data, layer


def main() -> None:
    stage = Stage(
        name="sft",
        template="plain",
        trains=["adapter", "llm"],
        lr={"adapter": 2e-5, "llm": 2e-5},
        capacity=4096,
        rows_per_step=ROWS,
        precision="bf16",
    )
    for name, sizes in SHAPES.items():
        print(f"\n{name}: {sizes.llm / 1e9:.2f} B parameters, {ROWS} rows a step")
        for way, runtime in WAYS.items():
            parts = in_gib(memory_of(sizes, stage, runtime))
            data, layer = (value / GIB for value in traffic(sizes, runtime))
            print(f"  {way:15} {parts['total']:8.1f} GiB a GPU  {parts}  traffic {data:.0f} + {layer:.0f} GiB a step")


if __name__ == "__main__":
    main()
