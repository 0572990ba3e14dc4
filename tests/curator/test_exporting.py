"""An export appears whole or not at all, never over something else, and says what it is."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from curator.cli import cli
from curator.exporting.run import export, form_names, plan_export
from curator.exporting.source import Sample, Source, Unfit, refuse_marks
from curator.mix import build_mix
from registry.errors import Refusal
from registry.mix import MixReader
from registry.recipe import Bounds, Recipe, RecipePart
from registry.sample import Message, conversation
from registry.store import Home, read_record
from tests.curator.export_home import make_awkward
from tests.curator.publish_home import add_sums

Made = tuple[Home, Path]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_awkward(tmp_path_factory.mktemp("exporting"))


def contents(folder: Path) -> dict[str, str]:
    """Path -> sha256 of every file."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def sample(messages: list[Message], digests: list[str]) -> Sample:
    return Sample(0, 0, "id", "d", "p", "c", "s", messages, digests)


@pytest.mark.parametrize("form", form_names())
def test_another_machine_writes_the_same_bytes(form: str, made: Made, tmp_path: Path) -> None:
    home, mix = make_awkward(tmp_path / "other")
    for number, (one_home, one_mix) in enumerate((made, (home, mix))):
        export(plan_export(one_home, one_mix, form, tmp_path / str(number)))
    assert contents(tmp_path / "0") == contents(tmp_path / "1")
    assert {"record.json", "summary.json", "README.md"} < contents(tmp_path / "0").keys()


@pytest.mark.parametrize("form", form_names())
def test_the_record_says_what_it_is(form: str, made: Made, tmp_path: Path) -> None:
    done = export(plan_export(*made, form, tmp_path / "out"))
    record = read_record(tmp_path / "out")
    reader = MixReader(*made)
    assert record.kind == "export"
    assert record.settings["form"] == form
    assert record.settings["content_digest"] == reader.info.content_digest
    assert record.inputs == {f"mixes/{made[1].name}": reader.record.digest}
    assert (record.rows_in, record.rows_out, record.rejected) == (len(reader), done.rows, done.left_out)
    record.check_rows()
    page = (tmp_path / "out" / "README.md").read_text()
    assert reader.info.content_digest in page
    assert "| literal | CC0-1.0 | CC0-1.0 |" in page
    assert done.licences == ["cc0-1.0", "mit", "unknown"]
    assert done.warnings == ["no licence is established for chats (pictures)"]


def test_what_is_there_is_left_alone_and_nothing_else_is_written_over(made: Made, tmp_path: Path) -> None:
    to = tmp_path / "out"
    to.mkdir()
    first = export(plan_export(*made, "marked", to))
    times = {path: path.stat().st_mtime_ns for path in to.rglob("*")}
    again = plan_export(*made, "marked", to)
    assert again.present
    assert export(again) == first
    assert {path: path.stat().st_mtime_ns for path in to.rglob("*")} == times
    with pytest.raises(Refusal, match=r"holds another export .awkward as marked"):
        plan_export(*made, "llava", to)
    with pytest.raises(Refusal, match="is not empty"):
        plan_export(*made, "llava", tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(Refusal, match="is not empty"):
        plan_export(*made, "llava", tmp_path / "link")
    (to / "summary.json").write_text("{")
    with pytest.raises(Refusal, match=r"summary\.json: damaged"):
        export(plan_export(*made, "marked", to))


def test_the_same_rows_of_another_mix_are_another_export(made: Made, tmp_path: Path) -> None:
    """Equal content has equal ids; where the rows come from and what they are called may still differ."""
    parts = [RecipePart(dataset=name, repeat=2) for name in ("chats", "literal")]
    bounds = {"image_size": {"short_side_px": Bounds(min=1)}}
    twin, info = build_mix(made[0], Recipe(name="twin", seed=5, parts=parts, filters=bounds))
    assert info.content_digest == MixReader(*made).info.content_digest
    export(plan_export(*made, "messages", tmp_path / "out"))
    with pytest.raises(Refusal, match="holds another export"):
        plan_export(made[0], twin, "messages", tmp_path / "out")


def test_what_killed_runs_left_is_used_or_removed(made: Made, tmp_path: Path) -> None:
    """A half picture is written again; what another export to the same place had begun goes."""
    place = tmp_path / "out"
    plan = plan_export(*made, "llava", place)
    aside = tmp_path / f".out.{plan.record.digest[:12]}.aside" / "out"
    export(plan_export(*made, "llava", tmp_path / "calm"))
    shutil.copytree(tmp_path / "calm" / "images", aside / "images")
    first, second = sorted((aside / "images").rglob("*.jpg"))[:2]
    first.write_bytes(bytes(first.stat().st_size))
    second.write_bytes(b"half")
    other = tmp_path / f".out.{'0' * 12}.aside"
    other.mkdir()
    neighbour = tmp_path / f".outer.{'0' * 12}.aside"
    neighbour.mkdir()
    export(plan)
    assert contents(place) == contents(tmp_path / "calm")
    assert {path.name for path in tmp_path.iterdir()} == {"out", "calm", neighbour.name}


def test_a_damaged_picture_leaves_nothing(made: Made, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(made[0].path, home.path)
    mix = home.stage("mixes") / made[1].name
    for tar in home.images.glob("*.tar"):
        data = bytearray(tar.read_bytes())
        data[512 + 30] ^= 1
        tar.write_bytes(data)
    for form in form_names():
        with pytest.raises(Refusal, match="is damaged"):
            export(plan_export(home, mix, form, tmp_path / "place" / form))
    assert list((tmp_path / "place").iterdir()) == []


def test_a_mix_of_which_nothing_can_be_written_is_refused(made: Made, tmp_path: Path) -> None:
    home = made[0]
    add_sums(home, tmp_path / "source", 3, "odd")
    mix, _ = build_mix(home, Recipe(name="odd", seed=1, parts=[RecipePart(dataset="odd")]))
    for form in form_names():
        assert export(plan_export(home, mix, form, tmp_path / form)).rows == 3, "text alone is a mix too"
    literal, _ = build_mix(home, Recipe(name="literal", seed=1, parts=[RecipePart(dataset="literal")]))
    with pytest.raises(Refusal, match=r"no sample can be written as marked[^$]*choose another form: energon, llava"):
        export(plan_export(home, literal, "marked", tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_shards_are_of_about_the_size_asked_for(made: Made, tmp_path: Path) -> None:
    export(plan_export(*made, "webdataset", tmp_path / "many", 1))
    export(plan_export(*made, "webdataset", tmp_path / "few", 20_000))
    assert len(list((tmp_path / "many").glob("*.tar"))) == 20, "a sample at least"
    sizes = [path.stat().st_size for path in (tmp_path / "few").glob("*.tar")]
    assert all(size <= 20_000 + 10_240 + 1024 for size in sizes)


def test_marks_stand_where_pictures_do_and_read_back() -> None:
    texts = ["<image>\nQ", "A\n<image>\nB", "A\n\n<image>\n\nB", "<image>\n<image>\nQ", "<image>", "Q\n<image>"]
    for text in texts:
        messages = conversation([("user", text), ("assistant", "A")])
        [said, _] = sample(messages, []).marked(line_ends=True)
        assert said == text
        assert conversation([("user", said), ("assistant", "A")]) == messages
    [said, _] = sample(conversation([("user", "<image>\nQ"), ("assistant", "A")]), []).marked(line_ends=False)
    assert said == "<image>Q"


def test_a_mark_in_a_text_is_found() -> None:
    message: Message = {"role": "user", "content": [{"type": "text", "text": "<ima"}, {"type": "text", "text": "ge>"}]}
    with pytest.raises(Unfit, match="its text holds <image>"):
        refuse_marks(sample([message], []), ["<image>"])
    refuse_marks(sample([message], []), ["<video>"])


def test_a_name_that_is_no_digest_goes_nowhere(made: Made, tmp_path: Path) -> None:
    from curator.exporting.picture_folder import PictureFolder

    source = Source(made[0], MixReader(*made), tmp_path)
    with pytest.raises(Refusal, match="not named by a sha256"):
        PictureFolder(source, tmp_path / "in").place("../../../outside")
    source.close()
    assert list(tmp_path.iterdir()) == []


def test_samples_come_once_with_all_that_is_theirs(made: Made, tmp_path: Path) -> None:
    reader = MixReader(*made)
    found = list(Source(made[0], reader, tmp_path).samples())
    assert sorted(one.position for one in found) == list(range(len(reader)))
    assert [one.dataset for one in found] == ["chats"] * 14 + ["literal"] * 6


def test_the_command(made: Made, tmp_path: Path) -> None:
    home, to = str(made[0].path), tmp_path / "out"
    call = ["export", "awkward", "--as", "llava", "--to", str(to), "--home", home]
    dry = CliRunner().invoke(cli, [*call, "--dry-run", "--json"])
    assert dry.exit_code == 0, dry.output
    told = json.loads(dry.stdout)
    assert (told["rows"], told["written"], told["form"]) == (16, False, "llava")
    assert not to.exists()
    done = CliRunner().invoke(cli, [*call, "--json"])
    assert json.loads(done.stdout) == {**told, "written": True}
    again = CliRunner().invoke(cli, call)
    assert again.exit_code == 0
    assert "nothing to do" in again.stderr
    assert "2 rows: has a system message" in again.stdout
    wrong = CliRunner().invoke(cli, ["export", "awkward", "--as", "lava", "--to", str(tmp_path / "x"), "--home", home])
    assert wrong.exit_code == 1
    assert "did you mean 'llava'" in wrong.stderr
    shown = CliRunner().invoke(cli, ["export", "--help"])
    assert all(f"\n  {form}" in shown.stdout for form in form_names())
