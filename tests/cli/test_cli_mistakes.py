"""More than 200 mistakes at the command line, generated: each ends with 2, at most three lines, and nothing on disk."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lambdanets.cli import main
from lambdanets.cli.app import app
from lambdanets.cli.mistakes import LONGEST
from lambdanets.recipes.registry import find_recipe
from lambdanets.training.override import field_names

RECIPE = find_recipe("digits")
FIELDS = field_names(RECIPE)
VERBS = sorted(name for name in app if not name.startswith("-"))
ODD_NAMES = (
    "nowhere",
    "with space",
    "ünïcode-\N{GREEK SMALL LETTER LAMDA}",
    "..\\up",
    "-",
    "~",
    "a" * 300,
    "new\nline",
)


def typos(word: str) -> Iterator[str]:
    """The word with a letter left out, doubled, or two letters swapped."""
    middle = len(word) // 2
    yield word[:middle] + word[middle + 1 :]
    yield word[:middle] + word[middle] + word[middle:]
    yield word[: middle - 1] + word[middle] + word[middle - 1] + word[middle + 1 :]


def value_of(field: str) -> object:
    value: object = RECIPE
    for name in field.split("."):
        value = getattr(value, name)
    return value


def unknown_verbs() -> Iterator[list[str]]:
    for verb in VERBS:
        yield from ([typo] for typo in typos(verb) if typo not in VERBS)
    yield from (["--versoin"], ["--"], ["train", "evaluate", "x"], ["models", "-x"], ["help"], ["TRAIN"])


def unknown_options() -> Iterator[list[str]]:
    options = {
        "train": ("out", "set", "resume", "data", "max-time"),
        "evaluate": ("json", "report", "device"),
        "predict": ("json", "page", "device"),
        "models": ("image-size",),
        "explain": ("map", "scope", "batch", "dim", "dim-key", "heads", "dim-intra", "dtype", "no-content", "causal"),
        "doctor": ("no-check",),
        "verify": ("json",),
        "selftest": ("quick",),
    }
    for verb, names in options.items():
        for name in names:
            yield [verb, f"--{next(typos(name))}", "1"]
    yield from ([verb, "--colour", "red"] for verb in VERBS)


def unknown_fields() -> Iterator[list[str]]:
    for field in FIELDS:
        yield ["train", "--set", f"{next(typos(field))}=1"]
    for text in ("seed", "=1", "", " ", "seed=1=2", "optimizer=adam", "seed.more=1", "a.b.c.d=1", "λ=1", "seed 1"):
        yield ["train", "--set", text]


def wrong_values() -> Iterator[list[str]]:
    for field in FIELDS:
        if field in ("recipe", "model_options", "data.pseudo.pool"):  # the last is a path, looked at only with labels
            continue
        yield ["train", "--set", f"{field}=banana"]
        number = isinstance(value_of(field), int | float) or value_of(field) is None
        if number:
            yield ["train", "--set", f"{field}=nan"]
            yield ["train", "--set", f"{field}=-1e9"]


def wrong_times() -> Iterator[list[str]]:
    for text in ("soon", "0s", "0h0m0s", "-5s", "60", "1.5h", "5s3m", "1d", "nan", "inf", "9999999s", "1 h", "s", "½h"):
        yield ["train", f"--max-time={text}"]
    yield from (
        ["train", "--max-time"],
        ["train", "--max-time", "1h", "--max-time"],
        ["train", "--max-time", "--resume"],
    )


def wrong_data() -> Iterator[list[str]]:
    for recipe in ("imagenet_90", "imagenet_350"):
        yield from (["train", recipe, "--data", name] for name in (*ODD_NAMES, "file", "empty", "/dev/null"))
        yield ["train", recipe, "--data"]
    yield from (["train", "--data", "empty"], ["train", "digits", "--data", "nowhere"], ["train", "imagenet_90"])
    yield from (["verify"], ["verify", "empty"], ["verify", "nowhere"], ["verify", "torn", "full"], ["selftest", "all"])
    yield from (["data", "check"], ["data", "check", "nowhere"], ["data", "chekc", "empty"], ["data", "digits"])


def wrong_sizes() -> Iterator[list[str]]:
    for option in ("batch", "dim", "dim-key", "heads", "dim-intra"):
        yield from (["explain", f"--{option}={value}"] for value in ("0", "-1", "1.5", "many", ""))
    for value in ("0", "-3x3", "3x", "x", "3x3x3x3", "1e3", "axb", ""):
        yield ["explain", f"--map={value}"]
    for value in ("0", "2", "-3", "4x4", "3x3x3", "half", ""):
        yield ["explain", f"--scope={value}"]
    yield from (["models", f"--image-size={value}"] for value in ("0", "-1", "31", "big", "1.5"))
    yield from (["models", name] for name in ("resnet", "lambda_resnet51", "LAMBDA_TINY", "", "λ"))


def wrong_places() -> Iterator[list[str]]:
    for name in ODD_NAMES:
        yield ["evaluate", f"./{name}"]
        yield ["predict", f"./{name}", "picture.png"]
    for run in ("empty", "file", "torn", "/dev/null", "/proc"):
        yield ["evaluate", run]
        yield ["predict", run, "picture.png"]
    for page in ("page.txt", "nowhere/page.html", "empty", "file"):
        yield ["predict", "empty", "picture.png", "--page", page]
    for out in ("file", "file/run", "full", "torn", "/proc/nowhere/run", "/dev/null/run"):
        yield ["train", "--out", out]
    yield from (["evaluate"], ["predict"], ["predict", "empty"], ["predict", "empty", "empty"], ["train", "--out"])
    yield from (["train", name] for name in ("digit", "imagenet", "", "λ"))
    yield ["train", "--out", "torn", "--resume"]


def empty_words() -> Iterator[list[str]]:
    """As a shell leaves them where a variable is not set."""
    for words in (["--out", ""], ["--out="], [""], ["digits", "--out", "", "--resume"], ["--set", ""], ["--set="]):
        yield ["train", *words]
    yield from (["tune", ""], ["tune", "--out", ""], ["explain", "--profile", ""], ["models", ""], ["evaluate", ""])
    yield from (["predict", "", "file"], ["predict", "empty", ""], ["predict", "empty", "file", "--page", ""])
    yield from ([""], ["", "train"], ["doctor", ""], ["evaluate", "empty", "--device", ""])


GENERATORS = (
    empty_words,
    unknown_verbs,
    unknown_options,
    unknown_fields,
    wrong_values,
    wrong_times,
    wrong_data,
    wrong_sizes,
    wrong_places,
)
MISTAKES = [arguments for generate in GENERATORS for arguments in generate()]


def test_there_are_two_hundred() -> None:
    assert len({tuple(arguments) for arguments in MISTAKES}) >= 200


@pytest.mark.parametrize(
    "arguments", MISTAKES, ids=lambda arguments: " ".join(arguments)[:60].encode("unicode_escape").decode()
)
def test_a_mistake_is_told_shortly_and_leaves_nothing(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "file").write_text("mine")
    for folder in ("empty", "full", "torn"):
        (tmp_path / folder).mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "torn" / "config.json").write_text('{"recipe": "digi')
    before = {path: path.read_bytes() if path.is_file() else b"" for path in tmp_path.rglob("*")}
    try:
        code = main(arguments)
    except SystemExit as ended:
        code = ended.code
    shown = capsys.readouterr()
    assert code == 2, shown
    assert shown.out == ""
    assert shown.err.startswith("lambdanets: ")
    assert len(shown.err.splitlines()) <= 3
    assert len(shown.err) <= LONGEST + 1
    assert "Traceback" not in shown.err
    assert {path: path.read_bytes() if path.is_file() else b"" for path in tmp_path.rglob("*")} == before
