"""Steps prepared ahead: the same to the bit for any number of workers, from any step on, from memory or from disk."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from registry.errors import Refusal
from registry.mix import MixReader
from registry.mix_stream import Share
from registry.store import is_finished
from tests.trainers.conftest import Toy
from tests.trainers.toy import everything, make_mix, stage
from trainers import token_cache, token_store
from trainers.feed import Feed
from trainers.loader import Corpus, Step, load_corpus
from trainers.picture import square
from trainers.streaming import ahead
from trainers.token_cache import TokenCache


def corpus_of(toy: Toy, mix: str = "", **changes: Any) -> Corpus:
    """Read with an empty cache, as a process of its own does."""
    checkpoint = toy.checkpoint()
    cache = TokenCache(checkpoint.tokens, checkpoint.image_tokens)
    return load_corpus(MixReader(toy.home, mix or toy.mix[0]), stage(epochs=2, **changes), 0, cache)


def feed_of(toy: Toy, corpus: Corpus, **changes: Any) -> Feed:
    return Feed(corpus, toy.home, toy.checkpoint().pictures, **changes)


def flat(feed: Feed, start: int = 0, workers: int = 0) -> list[Step]:
    """The steps, each of which has one part."""
    return [part for [part] in feed.steps(start, workers)]


def assert_same(first: Step, second: Step) -> None:
    for name, value in vars(first).items():
        other = getattr(second, name)
        if isinstance(value, np.ndarray):
            assert value.dtype == other.dtype, name
            assert np.array_equal(value, other), name
        elif isinstance(value, torch.Tensor):
            assert torch.equal(value, other), name
        else:
            assert value == other, name


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every mix counts as large; parts of a store are small."""
    monkeypatch.setattr(token_cache, "HELD", 0)
    monkeypatch.setattr("trainers.loader.HELD", 7)
    monkeypatch.setattr(token_store, "BATCH", 16)
    monkeypatch.setattr(token_store, "PART", 64)


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker:UserWarning")
def test_any_number_of_workers_gives_the_same_steps_to_the_bit(toy: Toy, workers: int) -> None:
    feed = feed_of(toy, corpus_of(toy, weighting="root"))
    alone = flat(feed)
    for mine, theirs in zip(alone, flat(feed, workers=workers), strict=True):
        assert_same(mine, theirs)
    assert len(alone) == len(feed.corpus.steps())
    assert any(step.squares is not None for step in alone)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_goes_on_at_any_step(toy: Toy, workers: int) -> None:
    feed = feed_of(toy, corpus_of(toy))
    whole = flat(feed)
    for start in (1, len(whole) // 2, len(whole) - 1, len(whole)):
        rest = flat(feed, start, workers)
        assert len(rest) == len(whole) - start
        for mine, theirs in zip(whole[start:], rest, strict=True):
            assert_same(mine, theirs)


def test_going_on_reads_no_sample_that_came_before(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = corpus_of(toy)
    read: list[tuple[int, ...]] = []
    monkeypatch.setattr(Corpus, "batch", lambda _, rows, **__: read.append(tuple(np.concatenate(rows))))
    last = len(corpus.steps()) - 2
    list(Feed(corpus, toy.home).steps(last))
    assert read == [tuple(np.concatenate(rows)) for rows in corpus.steps()[last:]]


def test_pictures_come_decoded_each_once_in_the_order_of_their_places(toy: Toy) -> None:
    checkpoint, store = toy.checkpoint(), toy.workshop.store(toy.home)
    step = flat(feed_of(toy, corpus_of(toy)))[0]
    unique = list(dict.fromkeys(step.images))
    assert step.squares is not None
    assert len(step.squares) == len(unique)
    for image, found in zip(unique, step.squares.numpy(), strict=True):
        assert np.array_equal(found, square(store.read(image), checkpoint.pictures, image))


@pytest.mark.parametrize("trains", [("adapter", "llm"), ("vision", "adapter", "llm")])
def test_decoded_ahead_or_not_the_loss_is_the_same_to_the_bit(toy: Toy, trains: tuple[str, ...]) -> None:
    network = toy.network(toy.checkpoint(trains))
    corpus = corpus_of(toy, **everything())
    feed, plain = feed_of(toy, corpus, by_length=True), Feed(corpus, toy.home, by_length=True)
    toy.workshop.pictures.forget()
    ahead_, after = flat(feed)[0], flat(plain)[0]
    assert after.squares is None
    with torch.no_grad():
        first = network.loss(ahead_)
        toy.workshop.pictures.forget()
        assert torch.equal(first, network.loss(after))


def test_a_step_comes_in_parts_of_as_many_rows_as_are_computed_together(toy: Toy) -> None:
    corpus = corpus_of(toy, rows_per_step=5, weighting="sample")
    rows = corpus.steps()[0]
    parts = next(feed_of(toy, corpus, at_once=2).steps())
    assert [len(part.rows) for part in parts] == [2, 2, 1]
    for row, [part] in zip(rows, [[part] for part in next(feed_of(toy, corpus, at_once=1).steps())], strict=True):
        alone = corpus.batch([row])
        assert part.images == alone.images
        assert np.array_equal(part.ids, alone.ids)
        assert (part.squares is None) == (not alone.images)


def test_all_ranks_have_equally_many_parts(toy: Toy) -> None:
    corpus = corpus_of(toy, rows_per_step=5)
    ranks = [next(feed_of(toy, corpus, share=Share(rank, 3), at_once=1).steps()) for rank in range(3)]
    assert sorted([len(part.rows) for part in parts] for parts in ranks) == [[1, 0], [1, 1], [1, 1]]
    assert sum(part.samples for parts in ranks for part in parts) == len(np.concatenate(corpus.steps()[0]))


def test_ranks_share_each_step_and_one_without_rows_gets_an_empty_step(toy: Toy) -> None:
    corpus = corpus_of(toy, rows_per_step=2)
    ranks = [flat(feed_of(toy, corpus, share=Share(rank, 3))) for rank in range(3)]
    for number, rows in enumerate(corpus.steps()):
        mine = [steps[number] for steps in ranks]
        assert sum(step.samples for step in mine) == len(np.concatenate(rows))
        assert sum(len(step.ids) for step in mine) == corpus.lengths[np.concatenate(rows)].sum()
        assert min(step.samples for step in mine) == 0
    assert next(iter(ranks[2])).learned == 0


def test_a_large_mix_is_read_from_disk_and_gives_the_same_steps(
    toy: Toy, on_disk: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    mix, _ = make_mix(toy.home, "large", [*range(150), *range(10)])
    disk = corpus_of(toy, mix)
    store = next(folder for folder in toy.home.finished("tokens") if "large" in folder.name)
    assert len(list(store.glob("part-*.arrow"))) == 3
    made = {path.name: path.stat().st_mtime_ns for path in store.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(token_cache, "HELD", 50_000)
        patch.setattr("trainers.loader.HELD", 50_000)
        held = corpus_of(toy, mix)
    assert disk.order == held.order
    assert np.array_equal(disk.learned, held.learned)
    for mine, theirs in zip(flat(feed_of(toy, held)), flat(feed_of(toy, disk), workers=1), strict=True):
        assert_same(mine, theirs)
    corpus_of(toy, mix)
    assert {path.name: path.stat().st_mtime_ns for path in store.iterdir()} == made, "made once"


def test_a_killed_store_goes_on_with_the_next_part_and_has_the_same_bytes(
    toy: Toy, on_disk: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    mix, _ = make_mix(toy.home, "torn", list(range(200)))
    form, write, written = token_store.Tokeniser, token_store.Tokeniser._write, []

    def dies(self: Any, path: Path, *rest: Any) -> None:
        written.append(path)
        if len(written) == 3:
            raise KeyboardInterrupt
        write(self, path, *rest)

    monkeypatch.setattr(form, "_write", dies)
    with pytest.raises(KeyboardInterrupt):
        corpus_of(toy, mix)
    assert not [folder for folder in toy.home.finished("tokens") if "torn" in folder.name]
    corpus_of(toy, mix)
    assert len(written) == 5, "two parts of the first run stayed"
    folder = next(folder for folder in toy.home.finished("tokens") if "torn" in folder.name)
    first = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    (folder / "record.json").unlink()
    corpus_of(toy, mix)
    assert {path.name: path.read_bytes() for path in sorted(folder.iterdir())} == first
    assert is_finished(folder)


def test_a_damaged_store_is_refused(toy: Toy, on_disk: None) -> None:
    mix, _ = make_mix(toy.home, "spoilt", list(range(80)))
    corpus_of(toy, mix)
    folder = next(folder for folder in toy.home.finished("tokens") if "spoilt" in folder.name)
    (folder / "part-00000.arrow").write_bytes(b"ARROW1\0\0nothing")
    with pytest.raises(Refusal, match=r"part-00000.arrow: damaged"):
        corpus_of(toy, mix)


def test_a_picture_that_is_missing_is_refused_in_its_words(toy: Toy) -> None:
    corpus = corpus_of(toy)
    feed = Feed(corpus, toy.home, toy.checkpoint().pictures)
    images: Any = corpus.images
    images._of[int(images._places[0])] = ("0" * 64,)
    for workers in (0, 1):
        with pytest.raises(Refusal, match="is not in the image store"):
            list(feed.steps(workers=workers))


@pytest.mark.parametrize("number", [signal.SIGKILL])
def test_a_worker_that_is_killed_is_a_refusal(number: signal.Signals) -> None:
    with pytest.raises(Refusal, match="loader workers: one ended before its time"):
        list(ahead(_dies(number), iter(range(4)), 1))


def _dies(number: signal.Signals) -> Callable[[int], int]:
    parent = os.getpid()

    def prepare(asked: int) -> int:
        assert os.getpid() != parent
        os.kill(os.getpid(), number)
        return asked

    return prepare


def test_another_error_of_a_worker_is_no_refusal() -> None:
    def prepare(asked: int) -> Iterator[int]:
        raise RuntimeError(f"bug {asked}")

    with pytest.raises(RuntimeError, match="bug 0"):
        list(ahead(prepare, iter(range(2)), 0))
