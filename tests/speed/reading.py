"""How fast a mix is read: pictures decoded as they come, against decoding alone and against the loaders of others.

``python -m tests.speed.reading [--samples N] [--decoder simplejpeg|pillow]``. Everything is in the page cache, the
same pictures and conversations; every method gives bytes and parsed conversations, and decodes with the same decoder.
Methods take turns of a few hundred samples, so a busy moment hits each alike; CPU seconds of process and threads. Exit
status 1 when ours is below ``LIMIT`` of decoding alone, or behind another loader. Those are measured that are
installed: webdataset, mosaicml-streaming (a stub stands for torchvision, which it only imports), litdata.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import importlib.util
import io
import itertools
import json
import logging
import os
import statistics
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from curator.export import Exporter
from registry.identity import digest
from registry.images import ImageStore
from registry.mix import MIX_FILE, MixInfo, MixReader, rows_schema
from registry.mix_stream import Mix, open_mix
from registry.permutation import Order, Permutation
from registry.sample import arrow_schema, make_message, sample_id
from registry.store import Home, Record, dump_json

LIMIT = 0.95
TURN = 100
"""Samples of a turn."""
TEXTS = 4
"""Question and answer pairs of a conversation."""

Pictures = Iterator[tuple[bytes, Any]]
Decode = Callable[[bytes], Any]


def jpeg(number: int) -> bytes:
    """A JPEG of about 90 KB: waves and grain, 640 x 480."""
    random = np.random.default_rng(number)
    y, x = np.mgrid[0:480, 0:640]
    waves = [np.sin(x * random.uniform(0.002, 0.05) + y * random.uniform(0.002, 0.05) + c) for c in range(3)]
    pixels = 128 + 80 * np.stack(waves, axis=2) + random.normal(0, 14, (480, 640, 1))
    data = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(data, "JPEG", quality=82)
    return data.getvalue()


def make_home(root: Path, pictures: list[bytes]) -> tuple[Home, Path]:
    """A data home with one dataset and a shuffled mix of all of it."""
    home = Home(root / "home")
    store = ImageStore(home)
    rows: list[dict[str, Any]] = []
    with store.writer() as writer:
        for number, data in enumerate(pictures):
            ref = writer.add(data)
            talk = [make_message("user", f"What is in picture {number}?", 1), make_message("assistant", "waves " * 20)]
            for turn in range(1, TEXTS):
                talk += [make_message("user", f"And what is {turn}?"), make_message("assistant", "grain " * 20)]
            images: list[Any] = [{"sha256": ref.sha256, "width": ref.width, "height": ref.height}]
            row = {"id": sample_id(talk, [ref.sha256]), "images": images, "messages": talk}
            rows.append({**row, "dataset": "waves", "part": None, "source_id": str(number), "category": "captioning"})
    store.close()
    samples = home.folder("samples", "waves@1", digest("waves"))
    with home.making(samples, Record(kind="samples", name="waves", digest=digest("waves"))) as work:
        pq.write_table(pa.Table.from_pylist(rows, schema=arrow_schema()), work / "part-00000.parquet")
    order = Permutation(len(rows), "mix")(np.arange(len(rows))).tolist()
    references = [
        {**rows[row], "copy": 0, "folder": samples.name, "file": "part-00000.parquet", "row": row} for row in order
    ]
    counts = {"samples": len(rows), "images": len(rows), "datasets": {"waves": len(rows)}, "categories": {}}
    named = {"name": "waves", "recipe": {}, "recipe_digest": digest("mix"), "content_digest": digest("mix")}
    info = MixInfo.model_validate({**named, **counts, "parts": []})
    folder = home.folder("mixes", "waves", digest("mix"))
    with home.making(folder, Record(kind="mix", name="waves", digest=digest("mix"))) as work:
        (work / MIX_FILE).write_bytes(dump_json(info.model_dump(mode="json")))
        pq.write_table(pa.Table.from_pylist(references, schema=rows_schema()), work / "rows-00000.parquet")
    return home, folder


def publish(home: Home, folder: Path, out: Path) -> None:
    """The shards that ``curator publish`` would send."""
    out.mkdir()
    exporter = Exporter(home, MixReader(home, folder))
    for number, part in enumerate(exporter.slices()):
        exporter.write(out / f"train-{number:05d}.parquet", part)
    exporter.close()


def ours(mix: Mix, order: Order) -> Pictures:
    """Our reader."""
    return ((sample.images[0], sample.messages) for _, sample in mix.stream(order))


def one_by_one(mix: Mix) -> Pictures:
    """Our reader, asked for single samples in an order that it does not know."""
    for position in np.random.default_rng(1).permutation(len(mix)).tolist():
        sample = mix[position]
        yield sample.images[0], sample.messages


def our_methods(root: Path, home: Home, folder: Path) -> dict[str, Callable[[], Pictures]]:
    """Our reader over the data home, and over the shards of its mix."""
    publish(home, folder, root / "published")
    found: dict[str, Callable[[], Pictures]] = {}
    for name, mix in (("home", open_mix(folder)), ("published", open_mix(root / "published"))):
        found[f"ours, {name}, stream"] = partial(ours, mix, mix.order())
        found[f"ours, {name}, random"] = partial(ours, mix, mix.order(7))
        found[f"ours, {name}, one by one"] = partial(one_by_one, mix)
    checked = open_mix(folder, check=True)
    found["ours, home, stream, sha256 checked"] = partial(ours, checked, checked.order())
    return found


def webdataset_methods(root: Path, mix: Mix) -> dict[str, Callable[[], Pictures]]:
    """Tars of a thousand samples."""
    webdataset = importlib.import_module("webdataset")
    (root / "wds").mkdir()
    with webdataset.ShardWriter(f"file:{root}/wds/%05d.tar", maxcount=1000, verbose=0) as writer:
        for _, sample in mix.stream(mix.order()):
            writer.write({"__key__": sample.id, "jpg": sample.images[0], "json": sample.messages})
    urls = sorted(map(str, (root / "wds").glob("*.tar")))

    def stream(buffer: int) -> Pictures:
        opened = webdataset.WebDataset(urls, shardshuffle=False, empty_check=False)
        mixed = opened.shuffle(buffer) if buffer else opened
        return ((sample["jpg"], json.loads(sample["json"])) for sample in mixed)

    return {"webdataset, stream": lambda: stream(0), "webdataset, shuffle buffer of 1000": lambda: stream(1000)}


def mds_methods(root: Path, mix: Mix) -> dict[str, Callable[[], Pictures]]:
    """MosaicML's shards."""
    importlib.import_module("transformers.utils")  # looks for the real torchvision before a stub stands there
    for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional", "torchvision.datasets"):
        module: Any = types.ModuleType(name)
        module.VisionDataset = module.to_tensor = object
        sys.modules[name] = module
    for name in ("transforms", "datasets"):
        setattr(sys.modules["torchvision"], name, sys.modules[f"torchvision.{name}"])
    sys.modules["torchvision.transforms"].functional = sys.modules["torchvision.transforms.functional"]  # type: ignore[attr-defined]  # a stub
    streaming = importlib.import_module("streaming")
    with streaming.MDSWriter(out=str(root / "mds"), columns={"jpg": "bytes", "messages": "json"}) as writer:
        for _, sample in mix.stream(mix.order()):
            writer.write({"jpg": sample.images[0], "messages": sample.messages})
    opened = streaming.StreamingDataset(local=str(root / "mds"), shuffle=False, batch_size=1)
    numbers = np.random.default_rng(1).permutation(len(mix)).tolist()
    return {
        "MDS, stream": lambda: ((sample["jpg"], sample["messages"]) for sample in opened),
        "MDS, one by one": lambda: ((sample["jpg"], sample["messages"]) for sample in map(opened.__getitem__, numbers)),
    }


def litdata_methods(root: Path, mix: Mix) -> dict[str, Callable[[], Pictures]]:
    """Lightning's chunks."""
    litdata = importlib.import_module("litdata")
    cache = litdata.streaming.cache.Cache(str(root / "lit"), chunk_bytes="64MB")
    for number, (_, sample) in enumerate(mix.stream(mix.order())):
        cache[number] = {"jpg": sample.images[0], "messages": json.dumps(sample.messages)}
    cache.done()
    cache.merge()

    def parsed(samples: Any) -> Pictures:
        return ((sample["jpg"], json.loads(sample["messages"])) for sample in samples)

    def stream(shuffle: bool) -> Pictures:
        return parsed(litdata.StreamingDataset(str(root / "lit"), shuffle=shuffle))

    return {"litdata, stream": lambda: stream(False), "litdata, shuffled": lambda: stream(True)}


def decoder(name: str) -> Decode:
    """RGB of a whole JPEG."""
    if name == "simplejpeg":
        simplejpeg = importlib.import_module("simplejpeg")
        return lambda data: simplejpeg.decode_jpeg(data, colorspace="RGB")
    return lambda data: np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def measure(methods: dict[str, Callable[[], Pictures]], samples: int, decode: Decode | None) -> dict[str, float]:
    """CPU seconds of one epoch of each method, in turns."""
    spent = dict.fromkeys(methods, 0.0)
    running = {name: start() for name, start in methods.items()}
    counted = dict.fromkeys(methods, 0)
    for _ in range(-(-samples // TURN)):
        for name, pictures in running.items():
            before = time.process_time()
            for data, _ in itertools.islice(pictures, TURN):
                counted[name] += 1
                if decode is not None:
                    decode(data)
            spent[name] += time.process_time() - before
    wrong = {name: count for name, count in counted.items() if count != samples}
    assert not wrong, f"{wrong} of {samples} samples"
    return spent


def main() -> int:
    """Print the table; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--decoder", choices=("simplejpeg", "pillow"), default="pillow")
    asked = parser.parse_args()
    logging.disable(logging.WARNING)
    os.environ["LITDATA_DISABLE_VERSION_CHECK"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        pictures = [jpeg(number) for number in range(asked.samples)]
        home, mix_folder = make_home(root, pictures)
        mix = open_mix(mix_folder)
        methods: dict[str, Callable[[], Pictures]] = {"decode alone": lambda: ((data, None) for data in pictures)}
        methods |= our_methods(root, home, mix_folder)
        peers = {"webdataset": webdataset_methods, "streaming": mds_methods, "litdata": litdata_methods}
        for module, make in peers.items():
            if importlib.util.find_spec(module) is not None:
                methods |= make(root, mix)
        size = statistics.mean(map(len, pictures))
        print(f"{asked.samples} pictures of {size / 1e3:.0f} KB, {asked.rounds} rounds, decoded by {asked.decoder}")
        return report(methods, asked.samples, asked.rounds, decoder(asked.decoder))


def report(methods: dict[str, Callable[[], Pictures]], samples: int, rounds: int, decode: Decode) -> int:
    """Samples per CPU second with and without decoding, and the share of decoding alone."""
    measure(methods, samples, None)  # everything is opened and in the page cache
    gc.collect()
    gc.freeze()  # or each method would pay for looking through what all of them imported
    plain = [measure(methods, samples, None) for _ in range(rounds)]
    found = [measure(methods, samples, decode) for _ in range(rounds)]
    share = {name: statistics.median(one["decode alone"] / one[name] for one in found) for name in methods}
    for name in methods:
        read, decoded = (statistics.median(samples / max(one[name], 1e-9) for one in runs) for runs in (plain, found))
        print(f"{name:36s} read {read:9,.0f}/s   read + decode {decoded:6,.0f}/s   {share[name]:.3f} x decode alone")
    judged = [share[f"ours, {place}, {way}"] for place in ("home", "published") for way in ("stream", "random")]
    others = [value for name, value in share.items() if not name.startswith(("ours", "decode"))]
    print(f"least of ours {min(judged):.3f} (limit {LIMIT}), best of others {max(others, default=0):.3f}")
    return 0 if min(judged) >= max(LIMIT, *others, 0) else 1


if __name__ == "__main__":
    sys.exit(main())
