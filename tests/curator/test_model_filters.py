"""Filters that measure with a model: what they need, who the model is, and that a kill leaves no trace."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from curator import normalise as normalise_module
from curator.check import check_named
from curator.filtering import chosen_filters, filter_rows, parse_models
from curator.hub import download, list_repository
from curator.lineage import Lineage
from curator.measure import filter_names, measure, ready_filters, resolve_model, wanted_model
from curator.mix import build_mix
from curator.model_measure import Files
from curator.models import Model, find_model
from curator.published_recipe import recipe_files
from curator.resolve import Resolver, missing_measures
from curator.trials import Trainer
from registry.checkpoint import CHECKPOINT, DEMO_FOLDER, base_digest
from registry.discovery import names, package_folder
from registry.errors import Refusal
from registry.recipe import Recipe
from registry.store import RECORD, Home, Record
from tests.commands.test_data_path import answer, refused
from tests.curator.artefacts import ARTEFACTS, batch_of
from tests.curator.data_home import file_bytes, make_captions, make_chats, rows_of, write_json
from tests.hub.faults import Fault
from tests.hub.server import Hub
from tests.trainers.dual_encoders import make_dual_encoder
from tests.trainers.measured import COLUMNS, columns_of, measured

WITH_MODEL = [name for name in filter_names() if wanted_model(name)]
SHARE = {"similarity": {"similarity": {"lowest": "0.5"}}}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dual_encoder(tmp_path_factory.mktemp("encoders") / "clip", "clip")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, clip: Path) -> Path:
    """A folder with a home: 30 captions whose similarity is measured, and 8 chats."""
    folder = tmp_path_factory.mktemp("filled")
    home = Home(folder / "home")
    samples = make_captions(home, folder, "pics", 30)
    make_chats(home, folder, "chats", 8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("curator.measure.measure_with_model", in_this_process)
        measure(home, samples, "similarity", model=find_model(home, str(clip)))
    return folder


def in_this_process(home: Home, name: str, _columns: object, model: Model, files: Files) -> Iterator[int]:
    """``measure_with_model`` without the seconds that a trainer process takes to begin."""
    assert model.folder is not None
    measured(home, name, model.folder, [source for source, _ in files], files[0][1].parent, model.template)
    yield from (pq.read_metadata(target).num_rows for _, target in files)


@pytest.fixture
def home(filled: Path, tmp_path: Path) -> Home:
    """A copy of the filled home for a test of its own."""
    shutil.copytree(filled / "home", tmp_path / "home")
    return Home(tmp_path / "home")


def recipe(model: str) -> Recipe:
    """Half of the captions, the ones least like their pictures."""
    named = {"filters": SHARE, "models": {"similarity": model}}
    return Recipe.model_validate({"name": "m", "parts": [{"dataset": "pics"}], **named})


@pytest.mark.parametrize("name", WITH_MODEL)
def test_samples_measure_what_the_artefact_says(name: str, clip: Path, tmp_path: Path) -> None:
    case = json.loads((ARTEFACTS / f"{name}.json").read_text(encoding="utf-8"))
    home = Home(tmp_path / "home")
    batch = batch_of(home, case["samples"])
    pq.write_table(batch.table, tmp_path / "part-0.parquet")
    checkpoint, form = (DEMO_FOLDER, "demo") if case["model"] == "demo" else (clip, None)
    measured(home, name, checkpoint, [tmp_path / "part-0.parquet"], tmp_path / "out", form)
    found = columns_of(tmp_path / "out")
    for column, expected in case["expect"].items():
        assert found[column] == pytest.approx(expected, abs=1e-3), column


def test_every_filter_with_a_model_has_its_measure_and_says_what_to_pass() -> None:
    assert set(WITH_MODEL) == set(names(package_folder("trainers.measures"), ".py")) == COLUMNS.keys()
    for name in WITH_MODEL:
        told = [row for row in filter_rows() if row["filter"] == name]
        assert [row["column"] for row in told] == list(COLUMNS[name])
        assert all("checkpoint" in str(row["needs"]) for row in told)
        assert name not in ready_filters()
        assert name in chosen_filters([], {name: "x"})


def test_the_command_measures_with_a_model_and_plans_without(filled: Path, tmp_path: Path, clip: Path) -> None:
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    loss = ["--model", "answer_loss=demo", "--bound", "answer_loss.answer_loss=lowest:0.2"]
    before = file_bytes(tmp_path / "home")
    [plan] = answer(tmp_path, "filter", "pics", *loss, "--dry-run")
    assert (plan["filter"], plan["samples"]) == ("answer_loss", 30)
    assert plan["model"] == f"demo (digest {base_digest(DEMO_FOLDER)[:12]})"
    assert file_bytes(tmp_path / "home") == before
    rows = {row["column"]: row for row in answer(tmp_path, "filter", "pics", *loss)}
    assert (rows["answer_loss"]["measured"], rows["answer_loss"]["dropped"]) == (30, 24)
    assert rows["answer_tokens"]["min"] > 5
    shutil.copytree(clip, tmp_path / "moved")
    [again] = answer(tmp_path, "filter", "pics", "--filter", "similarity", "--model", tmp_path / "moved", "--dry-run")
    assert again["samples"] == 0, "the model is its files, not its folder"


def test_a_recipe_names_its_model_and_a_mix_only_what_it_is(home: Home, clip: Path, tmp_path: Path) -> None:
    folder, info = build_mix(home, recipe(str(clip)))
    assert (info.samples, info.parts[0].dropped) == (15, {"similarity.similarity": 15})
    [pinned] = info.recipe["parts"][0]["filters"]
    assert pinned["model"] == {"digest": base_digest(clip)}
    assert not [name for name, data in file_bytes(home.path).items() if str(clip).encode() in data]
    shutil.copytree(clip, tmp_path / "moved")
    assert build_mix(home, recipe(str(tmp_path / "moved")))[0] == folder
    published = Recipe.model_validate_json(recipe_files(info)["recipe.json"])
    assert published.models == {"similarity": f"sha256:{base_digest(clip)}"}
    assert build_mix(home, published)[1].content_digest == info.content_digest
    outer = Recipe.model_validate({"name": "o", "parts": [{"recipe": "m"}]})
    assert build_mix(home, outer, {"m": recipe(str(clip))})[1].content_digest == info.content_digest
    shutil.rmtree(home.stage("measures"))
    [missing] = missing_measures(home, Resolver(home).resolve(published))
    assert (missing.name, missing.model) == ("similarity", Model(base_digest(clip)))
    shutil.rmtree(home.stage("mixes"))
    with pytest.raises(Refusal, match="is known by its digest alone"):
        build_mix(home, published)


def test_two_models_for_one_filter_are_refused(home: Home, clip: Path, tmp_path: Path) -> None:
    shutil.copytree(clip, tmp_path / "other")
    (tmp_path / "other" / "merges.txt").write_text("another")
    outer = {**recipe(str(tmp_path / "other")).plain(), "name": "o", "parts": [{"recipe": "m"}]}
    with pytest.raises(Refusal, match="asks 'similarity' of another model than the recipe that contains it"):
        build_mix(home, Recipe.model_validate(outer), {"m": recipe(str(clip))})


def test_a_killed_run_ends_with_the_same_bytes(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normalise_module, "ROWS_PER_GROUP", 4)
    monkeypatch.setattr(normalise_module, "ROWS_PER_FILE", 4)
    samples, model = make_captions(home, tmp_path, "many", 22, start=50), find_model(home, "demo")
    assert len(samples.files()) > 3
    started: list[Trainer] = []
    begin = Trainer.__init__

    def remembered(trainer: Trainer, threads: int = 1) -> None:
        begin(trainer, threads)
        started.append(trainer)

    monkeypatch.setattr(Trainer, "__init__", remembered)

    def kill_after_two_files(_rows: int, seen: list[int] = []) -> None:  # noqa: B006 - counts its own calls
        seen.append(1)
        if len(seen) == 2:
            started[-1].kill()

    with pytest.raises(Refusal, match="ended with status -9"):
        measure(home, samples, "answer_loss", kill_after_two_files, model=model)
    told: list[int] = []
    made = measure(home, samples, "answer_loss", told.append, model=model)
    assert sum(told) == made.record.rows_out == 22
    assert [row["id"] for row in rows_of(made.folder)] == [row["id"] for row in rows_of(samples.folder)]
    calm = tmp_path / "undisturbed"
    measured(home, "answer_loss", DEMO_FOLDER, samples.files(), calm, "demo")
    found = {name: data for name, data in file_bytes(made.folder).items() if name != RECORD}
    assert file_bytes(calm) == found
    assert not [path for path in (home.path / "aside").iterdir() if path.name != ".lock"]


def at(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask this Hub in this process, in which the client was imported with another address, and never wait for it."""
    monkeypatch.setattr("curator.models.list_repository", partial(list_repository, endpoint=hub.url))
    monkeypatch.setattr("curator.models.download", partial(download, endpoint=hub.url))
    monkeypatch.setattr(time, "sleep", lambda _: None)


def test_a_repository_is_fetched_once_and_found_without_the_hub(
    hub: Hub, home: Home, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {path.name: path.read_bytes() for path in clip.iterdir()}
    more = {"README.md": b"hello", "pytorch_model.bin": b"pickled", "onnx/model.json": b"{}", "modeling.py": b"raise"}
    commit = hub.seed("acme/clip", {**files, **more}, kind="models", tag="v1")
    at(hub, monkeypatch)
    with pytest.raises(Refusal, match="is not here yet"):
        Resolver(home, fetch=False).resolve(recipe("acme/clip@v1"))
    assert not home.stage("models").exists()
    with hub.fault(Fault("GET */resolve/*/model.safetensors", times=99, status=500)), pytest.raises(Refusal):
        find_model(home, "acme/clip@v1")
    found = find_model(home, "acme/clip@v1")
    assert found.folder == home.stage("models") / f"acme--clip@{commit[:12]}" / CHECKPOINT
    assert found.digest == base_digest(clip), "what is fetched is what is read: no README, pickle, code or folder"
    assert {path.name for path in found.folder.iterdir()} == files.keys()
    assert not any((home.path / "downloads").iterdir())
    with hub.watch() as seen:
        assert find_model(home, f"acme/clip@{commit}") == find_model(home, f"acme/clip@{commit[:12]}") == found
        assert find_model(home, f"sha256:{found.digest}") == found
    assert seen == []
    [measured_folder] = (home.path / "measures").glob("pics@*/similarity-*")
    steps = Lineage(home, measured_folder.relative_to(home.path).as_posix()).steps
    assert f"models/acme--clip@{commit[:12]}" in steps


def test_the_command_says_what_it_would_fetch(hub: Hub, filled: Path, clip: Path, tmp_path: Path) -> None:
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    commit = hub.seed("acme/planned", {p.name: p.read_bytes() for p in clip.iterdir()}, kind="models")
    environment = hub.environment(tmp_path / "cache")
    arguments = ("filter", "pics", "--model", "similarity=acme/planned", "--filter", "similarity")
    [plan] = answer(tmp_path, *arguments, "--dry-run", environment=environment)
    assert plan["model"].startswith(f"acme/planned@{commit[:12]}, to be fetched: ")
    assert (plan["samples"], plan["folder"]) == (30, None)
    [row] = answer(tmp_path, *arguments, environment=environment)
    assert row["measured"] == 30
    here = ("filter", "pics", "--model", f"similarity=acme/planned@{commit}", "--filter", "similarity", "--dry-run")
    [plan] = answer(tmp_path, *here, environment={"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"})
    assert plan["samples"] == 0


def test_a_repository_that_cannot_be_used_is_refused(
    hub: Hub, home: Home, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(hub, monkeypatch)
    hub.seed("acme/pickled", {"config.json": b"{}", "pytorch_model.bin": b"x"}, kind="models")
    hub.seed("acme/gated", {"model.safetensors": b"x"}, kind="models", gated=True)
    for name, what in (
        ("acme/pickled", "holds only pickled weights, which can run code"),
        ("acme/absent", "there is no such model repository"),
        ("acme/gated", "the model is gated"),
        ("acme/pickled@v9", "has no such revision"),
        ("no/such/place", "is no folder, and no repository"),
        ("sha256:012", "is no digest"),
        ("/no/such/place", "has no safetensors weights"),
    ):
        with pytest.raises(Refusal, match=what):
            find_model(home, name)


@pytest.fixture
def told(home: Home, tmp_path: Path) -> Callable[..., str]:
    """What ``curator filter pics`` says when it refuses."""
    return lambda *arguments: refused(tmp_path, "filter", "pics", *arguments)


def test_what_is_missing_is_refused_in_words(
    told: Callable[..., str], home: Home, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "needs a model: a CLIP or SigLIP checkpoint" in told("--filter", "similarity")
    assert "--model similarity=FOLDER" in told("--bound", "similarity.similarity=lowest:0.1")
    assert "measures without a model" in told("--model", f"image_size={clip}")
    assert "is for no filter that runs" in told("--model", clip)
    assert "with which chat template" in told("--filter", "answer_loss", "--model", clip)
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "pytorch_model.bin").write_bytes(b"x")
    assert "holds only pickled weights" in told("--model", f"similarity={pickled}")
    write_json(tmp_path / "bare.yaml", {"name": "b", "parts": [{"dataset": "pics"}], "filters": SHARE})
    assert "models: {similarity: …}" in refused(tmp_path, "build-mix", tmp_path / "bare.yaml")
    [fault] = check_named(home, [str(tmp_path / "bare.yaml")]).faults
    assert "needs a model" in fault.what
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "torch" else found(name))
    assert "pip install 'vlm-curator[train]'" in told("--model", "answer_loss=demo", "--filter", "answer_loss")
    assert build_mix(home, recipe(str(clip)))[1].samples == 15, "what is measured needs no torch"


def test_models_are_given_by_filter_or_to_all_that_need_one() -> None:
    assert parse_models(["similarity=a=b"], []) == {"similarity": "a=b"}
    assert parse_models(["x=y"], ["similarity", "image_size"]) == {"similarity": "x=y"}
    assert parse_models(["org/llava#demo"], ["answer_loss", "picture_gain"]) == dict.fromkeys(
        ("answer_loss", "picture_gain"), "org/llava#demo"
    )


def test_a_trial_knows_its_template_and_a_name_can_say_it(home: Home, clip: Path, tmp_path: Path) -> None:
    assert resolve_model(home, "answer_loss", "demo") == Model(base_digest(DEMO_FOLDER), DEMO_FOLDER, "demo")
    trial = home.folder("trials", "t", "0" * 64)
    settings = {"stage": {"template": "vicuna_v1"}}
    with home.making(trial, Record(kind="trial", name="t", digest="0" * 64, settings=settings)) as out:
        shutil.copytree(DEMO_FOLDER, out / CHECKPOINT, ignore=shutil.ignore_patterns("built.json"))
    bare = tmp_path / "bare#1"
    shutil.copytree(trial / CHECKPOINT, bare)
    by_name = {
        str(trial): "vicuna_v1",
        str(trial / CHECKPOINT): "vicuna_v1",
        f"{trial}#chatml": "chatml",
        str(bare): None,
        f"{bare}#demo": "demo",
    }
    found = {name: find_model(home, name) for name in by_name}
    assert {name: model.template for name, model in found.items()} == by_name
    assert len({model.digest for model in found.values()}) == 1
    with pytest.raises(Refusal, match="with which chat template"):
        resolve_model(home, "picture_gain", str(bare))
    assert resolve_model(home, "similarity", f"{clip}#demo") == Model(base_digest(clip), clip), "it is asked nothing"


def test_a_changed_file_is_another_model(home: Home, clip: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(clip, copy)
    before = find_model(home, str(copy)).digest
    config = copy / "config.json"
    config.write_text(config.read_text().replace("16", "17", 1))
    os.utime(config, ns=(1, 1))
    assert before == base_digest(clip) != find_model(home, str(copy)).digest == base_digest(copy)
