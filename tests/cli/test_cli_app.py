import resource
import subprocess
import sys
from pathlib import Path

import pytest

from lambdanets import __version__
from lambdanets.cli import main
from lambdanets.cli.counted import count_rows, stored_rows
from lambdanets.cli.render_help import render_help
from lambdanets.cli.stored_help import FOLDER

VERBS = ("train", "evaluate", "predict", "recipes", "models", "explain", "tune", "doctor", "data")
GROUPED = ("data check", "data digits")


@pytest.mark.parametrize("verb", ["", *VERBS, *GROUPED])
def test_help_shows_an_example_or_the_verbs(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*verb.split(), "--help"]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ([verb] if verb else VERBS))
    assert not verb or "Example: lambdanets " + verb in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


def test_help_loads_nothing_slow() -> None:
    program = (
        "import sys\n"
        "from lambdanets.cli import main\n"
        f"for verb in {VERBS + GROUPED}: main([*verb.split(), '--help'])\n"
        "slow = {'torch', 'numpy', 'timm', 'torchvision', 'sklearn', 'matplotlib', 'scipy'}\n"
        "sys.exit(', '.join(slow & set(sys.modules)) or 0)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("verb", ["", *VERBS, *GROUPED])
def test_help_answers_in_a_moment(verb: str) -> None:
    def seconds(*command: str) -> float:
        """Processor time of a process; the clock would also count what else the machine has to do."""
        own = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *command], capture_output=True, timeout=60, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - own.ru_utime - own.ru_stime

    program = f"from lambdanets.cli import main; main({verb.split()} + ['--help'])"
    needed, bare = (min(seconds("-c", text) for _ in range(4)) for text in (program, "pass"))
    assert needed < 0.5
    assert needed < 12 * bare


def test_stored_help_is_what_the_command_line_would_say() -> None:
    stored = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.txt")}
    assert stored == render_help(), "run: python -m lambdanets.cli.render_help"


@pytest.mark.parametrize("words", [["train", "digits", "--help"], ["train", "--set", "--help"]], ids=" ".join)
def test_help_among_other_words_is_rendered(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    assert "Usage: lambdanets train" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["trian", "../help/train", "all-verbs", ""])
def test_no_verb_has_no_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 2 or "Usage: lambdanets COMMAND" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], 'Did you mean "train"?'),
        (["train", "--ot", "x"], "Did you mean --out?"),
        (["train", "digits", "extra"], "extra"),
        (["train", "--out"], "requires an argument"),
        (["train", "dgits"], "unknown recipe 'dgits': did you mean 'digits'?"),
        (["recipes", "dgits"], "unknown recipe 'dgits': did you mean 'digits'?"),
        (["train", "--set", "sed=1"], "unknown field 'sed': did you mean 'seed'?"),
        (["train", "--set", "seed"], "wanted field=value"),
        (["train", "--set", "recipe=other"], "lambdanets train other"),
        (["train", "--set", "epochs=0"], "epochs: got 0"),
        (["train", "--set", "model=lambda_tin"], "did you mean 'lambda_tiny'"),
        (["train", "--set", "model_options.dimkey=3"], "did you mean 'dim_key'"),
        (["train", "--set", "device=cuda:99"], "use device=cpu"),
        (["train", "--set", "impl=dense"], "lambdanets recipes digits lists the fields"),
        (["train", "--set", "model_options.impl=foo"], "impl='foo'"),
        (["train", "--set", "model_options.normalize_keys=foo"], "normalize_keys='foo'"),
        (["train", "--set", "model_options.dim_key=0"], "dim_key is 0"),
        (["train", "--set", "model_options.dim_key=x"], "dim_key is 'x'"),
        (["train", "--set", "model_options.dim_intra=-1"], "dim_intra is -1"),
        (["train", "--set", "model_options.num_heads=7"], "num_heads=7"),
        (["train", "--set", "model_options.drop_rate=abc"], "drop_rate is 'abc'"),
        (["train", "--set", "model_options.drop_path_rate=nan"], "drop_path_rate is "),
        (["train", "--set", "model_options.num_classes=5"], "model_options.num_classes cannot be set"),
        (["train", "--set", "model_options.scope=999999"], "scope is 999999"),
        (["train", "--set", "model_options.global_pool=3"], "global_pool 3"),
        (["train", "--set", "data.image_size=16"], "32"),
        (["train", "--set", "batch_size=100000000000"], "wanted 2 to 1287"),
        (["train", "--out", "file/run"], "cannot be written"),
        (["train", "--out", "full"], "not an empty folder"),
        (["train", "--out", "run"], "holds another run"),
        (["train", "--out", "run", "--resume"], "is not a run"),
        (["train", "--out", "/proc/nowhere/run"], "cannot be written"),
        (["models", "lambda_tiny", "--image-size", "3"], "3"),
        (["models", "resnet50_lll"], "did you mean"),
        (["models", "--image-size", "big"], "big"),
        (["explain", "--scope", "22"], "use 21 or 23"),
        (["explain", "--scope", "wide"], "--scope: got 'wide'"),
        (["explain", "--scope", "3x5x7"], "one side an axis"),
        (["explain", "--map", "64by64"], "--map: got '64by64'"),
        (["explain", "--map", "2x2x2x2"], "one to three"),
        (["explain", "--map", "0x4"], "above 0"),
        (["explain", "--map=-4x4"], "above 0"),
        (["explain", "--batch", "0"], "--batch: got 0"),
        (["explain", "--dim", "10"], "not divisible by --heads 4"),
        (["explain", "--scope", "none", "--no-content"], "leaves nothing to compute"),
        (["explain", "--causal"], "wanted one side"),
        (["explain", "--dtype", "int8"], "int8"),
        (["explain", "--map", "99999999x99999999"], "wanted sides of at most 65,536"),
        (["explain", "--map", "1000000x1000000"], "wanted sides of at most 65,536"),
        (["explain", "--map", "9" * 5000], "wanted sides of at most 65,536"),
        (["explain", "--map", "4097x4096"], "16,781,312 positions, more than 16,777,216"),
        (["explain", "--map", "65536x65536x65536"], "281,474,976,710,656 positions"),
        (["explain", "--scope", "131073"], "wanted sides of at most 131,071"),
        (["explain", "--batch", "99999999999999999999"], "more than 16,777,216"),
        (["explain", "--dim", "16777220"], "more than 16,777,216"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_short_message_and_leaves_nothing(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("not json")
    before = sorted(tmp_path.rglob("*"))
    try:
        code = main(arguments)
    except SystemExit as ended:
        code = ended.code
    shown = capsys.readouterr()
    assert code == 2
    assert shown.out == ""
    assert message in shown.err
    assert len(shown.err.splitlines()) <= 3
    assert sorted(tmp_path.rglob("*")) == before


def test_explain_shows_every_order_and_the_choice(capsys: pytest.CaptureFixture[str]) -> None:
    from lambdanets.ops.choice import IMPLS

    assert main(["explain", "--map", "64x64", "--scope", "23", "--batch", "8"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in IMPLS if name != "auto")
    assert "b=8 n=4096 m=4096 h=4 k=16 u=1 v=64" in out
    assert "on cpu" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--map", "1024", "--scope", "7", "--causal"],
        ["--map", "4x8x8", "--scope", "3x5x5", "--dim-intra", "2"],
        ["--scope", "none"],
        ["--no-content", "--dtype", "bfloat16"],
    ],
    ids=" ".join,
)
def test_explain_answers_for_any_number_of_axes(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", *arguments]) == 0
    assert "reference" in capsys.readouterr().out


def test_a_size_that_no_machine_has_is_refused_before_anything_is_loaded() -> None:
    program = (
        "import sys\n"
        "from lambdanets.cli import main\n"
        "try: main(['explain', '--map', '99999999x99999999'])\n"
        "except SystemExit as ended: sys.exit(0 if ended.code == 2 and 'torch' not in sys.modules else 1)\n"
    )
    subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=True)


@pytest.mark.parametrize("size", ["65536x256", "4096x4096", "256x256x256"])
def test_the_largest_maps_are_explained(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--map", size]) == 0
    assert "n=16777216" in capsys.readouterr().out


def test_models_lists_networks_with_their_counts(capsys: pytest.CaptureFixture[str]) -> None:
    from lambdanets.models import describe

    assert main(["models", "resnet50_cccc", "lambda_tiny"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[1:]}
    assert list(rows) == ["resnet50_cccc", "lambda_tiny"]
    resnet = describe("resnet50_cccc")
    assert f"{resnet.parameters / 1e6:,.2f} M" in rows["resnet50_cccc"]
    assert f"{resnet.multiply_adds / 1e9:,.3f} G" in rows["resnet50_cccc"]
    assert rows["lambda_tiny"].split()[1:3] == ["1×32×32", "10"]


def test_models_without_a_name_lists_them_all(capsys: pytest.CaptureFixture[str]) -> None:
    from lambdanets.models import list_models

    assert main(["models"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == list_models()


def test_what_is_stored_of_the_networks_is_what_is_counted() -> None:
    assert stored_rows(()) == count_rows(()), "run: python -m lambdanets.cli.counted"


def test_listing_the_networks_loads_nothing_slow() -> None:
    program = "import sys; from lambdanets.cli import main; main(['models']); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=True)
