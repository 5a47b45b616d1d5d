"""What the documents say is so: code runs, commands exist, links lead somewhere, counts are counted again."""

import json
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

from lambdanets.cli import main
from lambdanets.cli.app import app
from lambdanets.models import describe, list_models
from lambdanets.ops.choice import IMPLS

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
README_MODELS = [name for name in list_models() if not name.startswith("probe_")]
MAX_LINES = 60
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
SLOW_TO_COUNT = {"lambda_resnet200", "lambda_resnet270", "lambda_resnet350", "lambda_resnet420"}


def name_of(path):
    return str(path.relative_to(ROOT))


def blocks(path, language):
    """(number of its first line, text) of every fenced block of a language."""
    text = path.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        if found[1] == language:
            yield text.count("\n", 0, found.start()) + 2, found[2]


def commands(path):
    """Every command that a document shows, as words."""
    for _, block in blocks(path, "console"):
        for line in block.splitlines():
            if line.startswith("$ "):
                yield shlex.split(line.removeprefix("$ "), comments=True)


def with_any(find):
    return [path for path in DOCUMENTS if any(True for _ in find(path))]


@pytest.mark.parametrize("path", with_any(lambda path: blocks(path, "python")), ids=name_of)
def test_python_blocks_run(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__document__"}
    for line, block in blocks(path, "python"):
        exec(compile("\n" * (line - 1) + block, path, "exec"), names)


@pytest.mark.parametrize("name", ["README.md", "docs/tour.md"])
def test_each_python_block_runs_alone(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for line, block in blocks(ROOT / name, "python"):
        exec(compile("\n" * (line - 1) + block, name, "exec"), {"__name__": "__document__"})


def test_ten_lines_are_about_ten():
    _, block = next(blocks(ROOT / "README.md", "python"))
    assert len([line for line in block.splitlines() if line]) <= 11


def test_no_two_documents_train_into_the_same_folder():
    """A run is not written over: the second command would be refused."""
    begun = [words for path in DOCUMENTS for words in commands(path) if words[:2] == ["lambdanets", "train"]]
    folders = [words[words.index("--out") + 1] for words in begun if "--out" in words and "--resume" not in words]
    assert len(set(folders)) == len(folders) >= 4


@pytest.mark.parametrize("name", ["README.md", "docs/tour.md", "docs/verbs.md"])
def test_the_command_is_on_the_path_before_it_is_used(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert text.index(". .venv/bin/activate") < text.index("$ lambdanets")


@pytest.mark.parametrize("path", with_any(commands), ids=name_of)
def test_commands_exist(path):
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for program, *arguments in commands(path):
        if program == "make":
            assert set(arguments) <= set(targets)
        elif program == "lambdanets":
            app.parse_args(arguments, exit_on_error=False, print_error=False)  # raises for unknown verbs and options
        else:
            assert program == "python"
            module = arguments[1].replace(".", "/") + ".py" if arguments[0] == "-m" else arguments[0]
            assert (ROOT / module).is_file()


def test_pictures_that_commands_name_are_there():
    shown = [words for path in DOCUMENTS for words in commands(path) if words[:2] == ["lambdanets", "predict"]]
    named = {word for words in shown for word in words[3:] if word.startswith("examples/")}
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_readme_shows_every_verb():
    verbs = {name for name in app if not name.startswith("-")}
    shown = {arguments[0] for program, *arguments in commands(ROOT / "README.md") if program == "lambdanets"}
    assert shown == verbs


@pytest.mark.parametrize("path", with_any(lambda path: LINK.finditer(path.read_text(encoding="utf-8"))), ids=name_of)
def test_links_lead_to_files(path):
    targets = [target.partition("#")[0] for target in LINK.findall(path.read_text(encoding="utf-8"))]
    local = [target for target in targets if target and not target.startswith("https://")]
    assert [target for target in local if not (path.parent / target).is_file()] == []


def test_drawn_pictures_are_there_small_and_shown(tmp_path):
    drawn = runpy.run_path(str(ROOT / "docs" / "pictures.py"))["PICTURES"]
    text = (ROOT / "docs" / "layer.md").read_text(encoding="utf-8")
    for name, draw in drawn.items():
        draw(tmp_path / name)
        draw(tmp_path / f"again-{name}")
        assert (tmp_path / name).read_bytes() == (tmp_path / f"again-{name}").read_bytes()
        assert (ROOT / "docs" / "assets" / name).stat().st_size < 150_000
        assert f"](assets/{name})" in text


def test_every_order_has_a_page():
    pages = {path.stem for path in (ROOT / "docs" / "orders").glob("*.md")} - {"index"}
    assert pages == set(IMPLS) - {"auto"}


def readme_table():
    """Name → cells of the table of networks."""
    rows = (re.split(r"\s*\|\s*", line.strip("| ")) for line in (ROOT / "README.md").read_text().splitlines())
    return {row[0]: row[1:] for row in rows if row[0] in list_models()}


def test_readme_lists_every_network():
    assert list(readme_table()) == README_MODELS


@pytest.mark.parametrize("name", README_MODELS)
def test_readme_counts_are_what_the_command_prints(name, capsys):
    assert main(["models", name]) == 0
    printed = re.split(r"\s{2,}", capsys.readouterr().out.splitlines()[-1].strip())
    assert [name, *readme_table()[name][:5]] == printed


def counted_rows():
    """(name, options, column → cell) of every row of counts in the page of networks."""
    columns = []
    for line in (ROOT / "docs" / "models.md").read_text(encoding="utf-8").splitlines():
        cells = re.split(r"\s*\|\s*", line.strip("| "))
        columns = cells if cells[0] == "name" else columns
        if line.startswith("| `") and cells[0].split("`")[1] in list_models():
            options = {"dim_intra": 4} if "u = 4" in cells[0] else {"c4": "all"} if "c4=" in cells[0] else {}
            row = dict(zip(columns, (cell.replace("*", "") for cell in cells), strict=True))
            name = cells[0].split("`")[1]
            yield pytest.param(name, options, row, marks=[pytest.mark.slow] * (name in SLOW_TO_COUNT), id=cells[0])


@pytest.mark.parametrize(("name", "options", "row"), list(counted_rows()))
def test_the_page_of_networks_counts_right(name, options, row):
    counted = describe(name, **options)
    assert row["trainable"] == f"{counted.parameters / 1e6:.2f}"
    assert row["multiply-adds"] == f"{counted.multiply_adds / 1e9:.2f}"
    assert (row["size"], row["lambda blocks"]) == (str(counted.image_size), str(counted.lambda_blocks))
    if "with statistics" in row:
        assert row["with statistics"] == f"{(counted.parameters + counted.statistics) / 1e6:.2f}"


@pytest.mark.parametrize("path", EXAMPLES, ids=name_of)
def test_examples_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < MAX_LINES


def run_example(name, monkeypatch, *arguments):
    path = ROOT / "examples" / name
    monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
    runpy.run_path(str(path), run_name="__main__")


def test_example_replaces_convolutions(monkeypatch, capsys):
    run_example("replace_a_convolution.py", monkeypatch)
    assert "8 convolutions replaced" in capsys.readouterr().out


@pytest.mark.parametrize("trained", [False, True], ids=["untrained", "trained"])
def test_example_looks_inside(trained, trained_run, monkeypatch, capsys):
    run_example("look_inside.py", monkeypatch, *[trained_run] * trained)
    out = capsys.readouterr().out
    assert "content" in out
    assert out.count("O") == 8  # four heads, twice


def test_example_writes_an_exact_order(monkeypatch, capsys):
    run_example("write_an_order.py", monkeypatch)
    errors = re.findall(r"relative error (\S+)", capsys.readouterr().out)
    assert len(errors) == 4
    assert max(map(float, errors)) < 1e-12  # float64, sums of at most some thousand terms


def test_example_fine_tunes(trained_run, monkeypatch, capsys):
    run_example("fine_tune.py", monkeypatch, trained_run)
    out = capsys.readouterr().out
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+)", out)]
    assert losses[-1] < 0.8 * losses[0]  # the run it starts from is too short for a share that means something
    assert re.search(r"digits of another hand: [\d.]+% right", out)


def test_example_classifies_as_predict_does(trained_run, monkeypatch, capsys):
    pictures = sorted((ROOT / "examples" / "pictures").iterdir())
    capsys.readouterr()
    assert main(["predict", str(trained_run), *map(str, pictures), "--json"]) == 0
    answers = [json.loads(line)["top"][:3] for line in capsys.readouterr().out.splitlines()]
    run_example("classify.py", monkeypatch, trained_run, *pictures)
    told = [line.split("  ")[1:] for line in capsys.readouterr().out.splitlines()]
    assert told == [[f"{a['label']}: {a['probability']:.1%}" for a in answer] for answer in answers]
    assert len(told) == 5


@pytest.fixture(scope="module")
def smaller_run(tmp_path_factory):
    """A run whose network is not the one that the recipe names by default, as in the tour."""
    folder = tmp_path_factory.mktemp("runs") / "smaller"
    settings = ("model_options.dim_key=8", "data.image_size=36", "epochs=0.1", "num_threads=1")
    words = [word for setting in settings for word in ("--set", setting)]
    assert main(["train", "digits", "--out", str(folder), *words]) == 0
    return folder


@pytest.mark.parametrize("example", ["look_inside.py", "fine_tune.py"])
def test_examples_open_a_run_of_other_options(example, smaller_run, monkeypatch, capsys):
    run_example(example, monkeypatch, smaller_run)
    assert ("map of 9 × 9" if example == "look_inside.py" else "of another hand") in capsys.readouterr().out


def test_all_examples_are_run_here():
    source = Path(__file__).read_text(encoding="utf-8")
    assert all(f'"{path.name}"' in source for path in EXAMPLES)
