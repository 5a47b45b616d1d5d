"""The verbs put together."""

from cyclopts import App

from lambdanets import __version__
from lambdanets.cli.data import data
from lambdanets.cli.doctor import doctor
from lambdanets.cli.evaluate import evaluate
from lambdanets.cli.explain import explain
from lambdanets.cli.models import models
from lambdanets.cli.predict import predict
from lambdanets.cli.pseudo_label import pseudo_label
from lambdanets.cli.recipes import recipes
from lambdanets.cli.selftest import selftest
from lambdanets.cli.study import study
from lambdanets.cli.train import train
from lambdanets.cli.tune import tune
from lambdanets.cli.verify import verify

app = App(
    name="lambdanets",
    version=__version__,
    help="Lambda networks: train them, count them, see how they compute.",
    help_format="plaintext",  # markdown would take a fifth of the time that --help takes
    result_action="return_value",
)
for verb in (train, evaluate, predict, pseudo_label, recipes, models, explain, tune, study, verify, doctor, selftest):
    app.command(verb)
app.command(data)
app.register_install_completion_command(help="Let the shell complete verbs and options; begins with the next shell.")
