"""The command line, in processes of its own."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pvzoo_shapes
import pytest
from forked import run_command as run
from PIL import Image

import pvzoo
from pvzoo import data
from pvzoo.cli import main
from pvzoo.demo import EXAMPLES


def test_a_pipe_gets_utf_8_whatever_the_machine_is_used_to(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "argv", ["pvzoo", "--version"])
    with pytest.raises(SystemExit):
        main()
    assert stream.encoding == "utf-8"


@pytest.mark.parametrize("command", [("-m", "pvzoo"), (Path(sys.executable).parent / "pvzoo",)])
def test_the_version_is_printed(command):
    start = [sys.executable] if command[0] == "-m" else []
    done = subprocess.run([*start, *command, "--version"], capture_output=True, text=True)
    assert done.stdout == f"pvzoo {pvzoo.__version__}\n"


def test_predict_without_a_model_uses_the_offline_default(photographs):
    done = run("predict", photographs["coffee"])
    assert done.returncode == 0
    assert "espresso" in done.stdout
    assert "0.95" in done.stdout


def test_json_output_is_json_lines_and_nothing_else(photographs, tmp_path):
    done = run(
        "predict", photographs["coffee"], photographs["cat"], "--json", "--save", tmp_path / "out"
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [a["source"] for a in answers] == [str(photographs["coffee"]), str(photographs["cat"])]
    assert answers[0]["predictions"][0]["name"] == "espresso"
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["chelsea.png", "coffee.png"]


def test_any_option_of_the_task_can_be_given_by_name(photographs):
    coffee = photographs["coffee"]
    done = run("predict", coffee, "--json", "-o", "top_k=2", "-o", "probabilities=true")
    answer = json.loads(done.stdout)
    assert len(answer["predictions"]) == 2
    assert len(answer["probabilities"]) == 1000
    for option, said in (
        ("top=2", "'top_k'"),
        ("top_k", "NAME=VALUE"),
        ("top_k=two", "integer"),
        ("batch_size=2", "not an option of a task"),
    ):
        done = run("predict", coffee, "--option", option)
        assert done.returncode == 2
        assert said in done.stderr


def test_folders_and_patterns_are_opened(photographs, tmp_path):
    for name in ("b.png", "a.png", "deep/c.png"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        Image.open(photographs["coffee"]).save(file)
    (tmp_path / "notes.txt").write_text("no image")
    done = run("predict", tmp_path, "--json")
    sources = [json.loads(line)["source"] for line in done.stdout.splitlines()]
    assert sources == [str(tmp_path / n) for n in ("a.png", "b.png", "deep/c.png")]
    done = run("predict", tmp_path / "*.png", "--json")
    assert len(done.stdout.splitlines()) == 2


def test_images_of_the_same_name_do_not_overwrite_each_other(photographs, tmp_path):
    for folder, name in (("x", "same"), ("y", "Same")):  # one name to Windows and macOS
        (tmp_path / folder).mkdir()
        Image.open(photographs["coffee"]).save(tmp_path / folder / f"{name}.png")
    run("predict", tmp_path / "x", tmp_path / "y", "--save", tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["Same-2.png", "same.png"]


def test_some_failed_images_give_exit_code_3_and_the_others_are_answered(photographs):
    images = (photographs["coffee"], "missing.jpg", photographs["cat"])
    done = run("predict", *images, "--json")
    assert done.returncode == 3
    assert len(done.stdout.splitlines()) == 2
    assert "missing.jpg does not exist" in done.stderr
    assert "Traceback" not in done.stderr
    done = run("predict", *images, "--json", "--debug")
    assert (done.returncode, len(done.stdout.splitlines())) == (3, 2)
    assert "Traceback" in done.stderr


def test_nothing_answered_gives_exit_code_1():
    done = run("predict", "missing.jpg")
    assert done.returncode == 1
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("predict", "x.jpg", "--model", "resnet5"), 1),
        (("predict", "x.jpg", "--model", "no/such-folder-or-repo"), 1),
        (("info", "resnet5"), 1),
        (("predict", "nothing-*.jpg"), 1),
        (("list", "--task", "object-detektion"), 2),
        (("list", "--max-params", "fifty"), 2),
        (("list", "--license", "permisive"), 2),
        (("list", "--min-metric", "3"), 2),
        (("predict", "x.jpg", "--task", "nonsense"), 2),
        (("predict", "x.jpg", "--dtype", "foo"), 2),
        (("predict", "x.jpg", "--device", "cpuu"), 2),
        (("check", "x", "--task", "nonsense"), 2),
        (("convert", "shapes", "x", "--to", "xml", "--split", "validation"), 2),
        (("evaluate", "x", "--task", "nonsense"), 2),
        (("evaluate", "x", "--model", "efficientnet-lite0-pip", "--dtype", "foo"), 2),
        (("fine-tune", "x", "--epochs", "1", "--output-dir", "y", "--task", "nonsense"), 2),
        (("fine-tune", "x", "--epochs", "1", "--output-dir", "y", "--lora", "{"), 2),
        (("demo", "efficientnet-lite0-pip", "--task", "nonsense"), 2),
        (("demo", "efficientnet-lite0-pip", "--dtype", "foo"), 2),
    ],
)
def test_an_error_is_one_line_without_a_traceback(args, code):
    done = run(*args)
    assert done.stderr.startswith("error: ") or args[0] == "demo"
    assert "error: " in done.stderr
    assert done.stderr.count("\n") == (2 if args[0] == "demo" else 1)  # it says what it loads
    assert done.stdout == ""
    assert done.returncode == code


@pytest.mark.parametrize(
    "args",
    [
        ("predict", "x.jpg", "--threshold", "7"),
        ("predict", "x.jpg", "--threshold", "much"),
        ("predict", "x.jpg", "--top-k", "0"),
        ("predict", "x.jpg", "--batch-size", "0"),
        ("evaluate", "x", "--batch-size", "0"),
        ("fine-tune", "x", "--output-dir", "y", "--epochs", "0"),
        ("fine-tune", "x", "--output-dir", "y", "--epochs", "1", "--image-size", "0"),
        ("demo", "--port", "70000"),
        ("new-plugin", "x", "--kind", "nonsense"),
        ("list", "--min-metric", "high"),
    ],
)
def test_a_value_that_an_option_cannot_have_is_a_wrong_command_line(args):
    done = run(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert args[-2] in done.stderr


def test_debugging_changes_no_exit_code():
    assert run("info", "resnet5", "--debug").returncode == 1
    assert run("list", "--task", "nonsense", "--debug").returncode == 2


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """A folder of classes, of which the check has much to say."""
    folder = tmp_path_factory.mktemp("images")
    for name in ("cup", "pet"):
        (folder / name).mkdir()
        for i in range(2):
            Image.new("RGB", (9, 9), (90 * i, 0, 0)).save(folder / name / f"{i}.png")
    return folder


@pytest.mark.parametrize("lines", [0, 1])
@pytest.mark.parametrize(
    "args",
    [
        ("list",),
        ("list", "--json"),
        ("info", "resnet50"),
        ("info", "resnet50", "--json"),
        ("plugins",),
        ("plugins", "--json"),
        ("--help",),
        ("predict", "--help"),
        ("--version",),
        ("check", "IMAGES"),
        ("check", "IMAGES", "--json"),
        pytest.param(("predict", "IMAGES"), marks=pytest.mark.slow),
        ("predict", "IMAGES", "--json"),
    ],
    ids=" ".join,
)
def test_a_reader_that_has_seen_enough_is_no_error(args, lines, samples, tmp_path):
    """``pvzoo ... | head -1``: what is read comes from a pipe that is closed then."""
    words = [str(samples) if word == "IMAGES" else word for word in args]
    with subprocess.Popen(
        [sys.executable, "-m", "pvzoo", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)},
    ) as process:
        for _ in range(lines):
            assert process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(120) == 0, said
    assert "Traceback" not in said
    assert "BrokenPipe" not in said
    assert "Exception ignored" not in said


def test_debug_shows_the_traceback():
    done = run("info", "resnet5", "--debug")
    assert "Traceback" in done.stderr
    assert "Traceback" in run("--debug", "info", "resnet5").stderr


def test_a_wrong_command_line_gives_exit_code_2():
    assert run("predict").returncode == 2
    assert run("list", "--no-such-option").returncode == 2


def test_a_misspelt_model_gets_the_nearest_names():
    assert "resnet50" in run("info", "resnet5").stderr


ORDER = (
    *("list", "info", "choose", "sample", "predict", "bulk", "demo", "serve", "check", "convert"),
    *("evaluate", "report", "compare", "fine-tune", "tune-thresholds"),
    *("benchmark", "export", "verify"),
    *("space", "plugins", "new-plugin", "verify-plugin"),
)


def test_help_lists_all_commands_in_the_order_of_use():
    shown = run("--help", COLUMNS="200").stdout
    *_, commands = shown.split("Commands")
    assert re.findall(r"^. ([a-z-]+)  ", commands, re.MULTILINE) == list(ORDER)


@pytest.mark.parametrize("command", ORDER)
def test_help_offers_each_switch_in_one_direction_and_explains_every_option(command):
    shown = run(command, "--help", COLUMNS="200").stdout
    rows = [line.strip("│* ") for line in shown.splitlines() if line.startswith("│")]
    options = [row for row in rows if row.startswith("--")]
    assert options
    assert run(command, "-h", COLUMNS="200").stdout == shown
    for row in options:
        first, *others = re.findall(r"(?<![\w-])--[a-z-]+(?= |,|$)", row.partition("<")[0])
        assert not any(other in (f"--no-{first[2:]}", f"--{first[5:]}") for other in others), row
        assert re.search(r"(>|[A-Z/]+|\])  +[A-Za-z(].{7,}$", row), row  # has a text


def test_sample_writes_the_images_that_it_lists(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    listed = [line.split()[0] for line in run("sample").stdout.splitlines()[1:]]
    shipped = {file.stem: file for file in EXAMPLES.glob("*.jpg")}
    assert listed == sorted(shipped)
    for words in (["sample", "scene.png"], ["sample", "coffee"], ["sample", "new/images"]):
        assert run(*words).returncode == 0
    with Image.open("scene.png") as image:
        assert image.format == "PNG"
        assert image.tobytes() == Image.open(shipped["scene"]).tobytes()
    assert Path("coffee.jpg").read_bytes() == shipped["coffee"].read_bytes()
    written = {file.stem: file.read_bytes() for file in Path("new/images").iterdir()}
    assert written == {name: file.read_bytes() for name, file in shipped.items()}
    assert run("predict", "scene.png", "--task", "detection").returncode == 0


def test_sample_overwrites_nothing_and_leaves_nothing_behind_when_it_refuses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "all").mkdir()
    for mine in ("coffee.jpg", "all/scene.jpg", "file"):
        (tmp_path / mine).write_text("mine")
    for path, code, said in (
        ("coffee.jpg", 1, "coffee.jpg already exists"),
        ("coffee", 1, "coffee.jpg already exists"),
        ("all", 1, "scene.jpg already exists"),
        ("file/scene.png", 1, "cannot be written"),
        ("cofee.jpg", 2, "Did you mean 'coffee'"),
        ("scene.gif", 2, ".png"),
    ):
        done = run("sample", path)
        assert (done.returncode, done.stdout) == (code, "")
        assert said in done.stderr
    assert {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()} == {
        *("coffee.jpg", "all/scene.jpg", "file")
    }
    assert (tmp_path / "all/scene.jpg").read_text() == "mine"


def test_list_offline_keeps_what_comes_as_packages():
    done = run("list", "--offline", "--json")
    cards = [json.loads(line) for line in done.stdout.splitlines()]
    names = {card["name"] for card in cards if card["source"]["package"]}
    assert {"efficientnet-lite0-pip", "shapes-detector"} <= names
    assert len(cards) < len(pvzoo.list_models())


def test_list_filters_and_prints_every_name_whole():
    done = run("list", "--task", "object-detection", "--max-params", "50M")
    names = {line.split()[0] for line in done.stdout.splitlines()[1:]}
    expected = pvzoo.list_models(task="object-detection", max_params=50e6)
    assert names == {c.name for c in expected}
    everything = run("list").stdout
    assert all(card.name in everything for card in pvzoo.list_models())


def test_a_task_may_be_named_by_a_word_in_every_command(photographs, tmp_path):
    whole = run("list", "--task", "object-detection").stdout
    assert run("list", "--task", "detection").stdout == whole
    scene = tmp_path / "scene.png"
    pvzoo_shapes.scenes(count=1, size=160, seed=31)[0]["image"].save(scene)
    answers = [
        run("predict", scene, "--json", "--task", task)
        for task in ("object-detection", "detection")
    ]
    assert answers[0].returncode == 0
    assert answers[0].stdout == answers[1].stdout
    scenes = pvzoo_shapes.scenes("panoptic-segmentation", count=2, size=96, seed=3)
    data.write(scenes, tmp_path / "scenes", "coco")
    for command in (
        ("check", tmp_path / "scenes"),
        ("convert", tmp_path / "scenes", tmp_path / "as-yolo", "--to", "yolo"),
        ("evaluate", tmp_path / "scenes", "--json"),
    ):
        done = run(*command, "--task", "detection")
        assert done.returncode == 0, done.stderr
    assert "map_50" in json.loads(done.stdout)["metrics"]


@pytest.mark.parametrize(
    "command",
    [
        ("list",),
        ("predict", "x.jpg"),
        ("demo",),
        ("check", "x"),
        ("convert", "x", "y", "--to", "coco"),
        ("evaluate", "x"),
        ("evaluate", "x", "--model", "shapes-detector"),
        ("fine-tune", "x", "--epochs", "1", "--output-dir", "y"),
    ],
    ids=" ".join,
)
def test_an_ambiguous_task_names_the_choices_in_every_command(command):
    done = run(*command, "--task", "segmentation")
    assert done.returncode == 2
    for task in ("instance", "panoptic", "semantic"):
        assert f"{task}-segmentation" in done.stderr


def test_list_as_json_can_be_read_back():
    done = run("list", "--task", "panoptic-segmentation", "--metric", "PQ", "--json")
    cards = [json.loads(line) for line in done.stdout.splitlines()]
    values = [card["metrics"][0]["value"] for card in cards]
    assert values == sorted(values, reverse=True)


def test_info_shows_the_card_with_its_sources():
    shown = run("info", "mask2former-swin-tiny-coco-panoptic").stdout
    for text in ("facebook/mask2former-swin-tiny-coco-panoptic", "other (upstream: cc-by-nc-4.0)"):
        assert text in shown
    assert "PQ 53.2 on coco-2017 (facebookresearch/Mask2Former MODEL_ZOO.md" in shown


def test_an_unknown_licence_is_shown_as_unknown():
    lines = run("info", "efficientnet-lite0-pip").stdout.splitlines()
    assert ["licence", "unknown"] in [line.split() for line in lines]


def test_plugins_lists_what_is_installed():
    shown = run("plugins").stdout
    assert "pvzoo-efficientnet-lite 0.1.0, contract 2, ready" in shown
    assert "adapters: timm, transformers-classification, transformers-detection" in shown


@pytest.mark.slow
def test_the_plugins_of_this_repository_are_all_ready_when_they_are_tried():
    shown = run("plugins", "--check").stdout
    states = [line.split(", ")[-1] for line in shown.splitlines() if ", contract " in line]
    assert states == ["ready"] * 6


def test_the_users_own_catalogue_and_default_are_used(photographs, tmp_path):
    catalogue = tmp_path / "mine.toml"
    catalogue.write_text('[defaults]\nimage-classification = "efficientnet-lite1-pip"\n')
    done = run("predict", photographs["coffee"], "--json", PVZOO_CATALOG=str(catalogue))
    score = json.loads(done.stdout)["predictions"][0]["score"]
    assert score == pytest.approx(0.54, abs=0.01)  # what lite1 says of it; lite0 says 0.95


def test_the_quickstart_labels_photographs_finds_shapes_and_writes_images(tmp_path):
    script = Path(__file__).parents[1] / "demos" / "quickstart.py"
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
        env={**os.environ, "XDG_DATA_HOME": str(tmp_path / "data")},
    )
    *photographs, boxes, segments, _, _ = done.stdout.splitlines()
    firsts = [line.split(None, 1)[1].partition(" 0.")[0] for line in photographs]
    assert firsts == [
        "espresso",
        "tiger cat",
        "tripod",
        "moped",
        "palace",
        "cheetah, chetah, Acinonyx jubatus",
        "lion, king of beasts, Panthera leo",
    ]
    scene = pvzoo_shapes.scenes("panoptic-segmentation", count=1, seed=4)
    there = Counter(
        scene.features["segments"]["category"].feature.int2str(i)
        for i in scene[0]["segments"]["category"]
    )
    for line, least in ((boxes, 0.3), (segments, 0.6)):  # boxes are of the things alone
        found = Counter(name.strip() for name in line[20:].split(","))
        assert (there & found).total() >= least * there.total(), line
    assert str(tmp_path / "quickstart-output") in done.stdout
    assert len(list((tmp_path / "quickstart-output").glob("*.png"))) == len(firsts) + 2
    export = tmp_path / "data" / "pvzoo" / "exports" / "pvzoo-efficientnet-lite"
    assert (export / "efficientnet-lite0-pip" / "pvzoo-export.json").is_file()
