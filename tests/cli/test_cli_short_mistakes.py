"""A line about a mistake is short and in words, whatever is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lambdanets.cli import main
from lambdanets.cli.empty_word import check_words
from lambdanets.cli.mistakes import LONGEST, report_mistake, sentence, shortened
from lambdanets.cli.stored_help import FOLDER
from lambdanets.detection.scenes import SPECS
from lambdanets.recipes.registry import RECIPES, find_recipe
from lambdanets.training.override import field_names


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(36, "File name too long", "aaa"), "aaa: File name too long."),
        (OSError(28, "No space left on device"), "standard output could not be written: No space left on device."),
        (OSError("odd"), "odd"),
        (ValueError("got 1, wanted 2."), "got 1, wanted 2."),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_system_s_number_is_left_out(error: Exception, words: str) -> None:
    assert sentence(error) == words


def test_a_long_path_loses_its_middle_and_the_words_stay() -> None:
    said = shortened(f"lambdanets: {'folder/' * 60}config.json cannot be read: put it back.")
    assert said.startswith("lambdanets: folder/folder")
    assert said.endswith("config.json cannot be read: put it back.")
    assert "…" in said
    assert len(said) <= LONGEST


def test_what_fits_is_left_as_it_is() -> None:
    text = "a" * LONGEST
    assert shortened(text) == text


def test_no_line_is_longer(capsys: pytest.CaptureFixture[str]) -> None:
    report_mistake(ValueError("many words " * 100))
    assert len(capsys.readouterr().err.rstrip("\n")) == LONGEST


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["train", "--out", ""], "--out: got an empty word"),
        (["train", "--out="], "--out: got an empty word"),
        (["evaluate", ""], "lambdanets: got an empty word"),
    ],
)
def test_the_option_that_got_nothing_is_named(
    words: list[str], option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert option in capsys.readouterr().err


def test_a_field_may_be_empty() -> None:
    check_words(["train", "--set", "model_options.global_pool=", "--set=model_options.global_pool="])


def test_the_help_of_train_names_every_recipe() -> None:
    shown = (FOLDER / "train.txt").read_text(encoding="utf-8")
    assert all(recipe in shown for recipe in RECIPES)


def test_the_help_of_models_names_the_networks_that_it_does_not_list() -> None:
    shown = (FOLDER / "models.txt").read_text(encoding="utf-8")
    assert all(network in shown for network in SPECS)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_lists_all_its_fields_and_what_they_mean(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", recipe]) == 0
    lines = capsys.readouterr().out.splitlines()
    for field in field_names(find_recipe(recipe)):
        (place,) = (n for n, line in enumerate(lines) if line.startswith(f"{field} = "))
        assert lines[place + 1].startswith("    "), f"nothing is said of {field}"


def test_the_recipes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n{recipe} " in shown for recipe in RECIPES)


def test_a_recipe_that_is_like_none_is_told_where_they_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["recipes", "nosuch"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "lambdanets: unknown recipe 'nosuch': lambdanets recipes lists the recipes.\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["train", "digits", "extra"],
            "lambdanets: got 'extra' too many: leave it out, or see lambdanets train --help.\n",
        ),
        (["doctor", "a", "b"], "lambdanets: got 'a', 'b' too many: leave it out, or see lambdanets doctor --help.\n"),
        (["help"], 'lambdanets: Unknown command "help". lambdanets --help lists the commands.\n'),
        (
            ["trian"],
            'lambdanets: Unknown command "trian". Did you mean "train"? lambdanets --help lists the commands.\n',
        ),
        (["explain", "--batch", "x"], "lambdanets: Invalid value for --batch: got 'x', wanted a whole number.\n"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_odd_words_are_told_in_ours(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err == message


def test_the_module_is_the_command() -> None:
    ended = subprocess.run([sys.executable, "-m", "lambdanets", "help"], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.endswith("lambdanets --help lists the commands.\n")


@pytest.mark.parametrize("verb", ["evaluate", "predict"])
def test_a_field_that_this_version_does_not_know_is_not_blamed_on_the_version(
    verb: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "sed": 1}))
    with pytest.raises(SystemExit):
        main([verb, str(run), *["picture.png"] * (verb == "predict")])
    said = capsys.readouterr().err
    assert "config.json: unknown field 'sed': did you mean 'seed'? Put it back as it was." in said
    assert "this is" not in said
