"""The command line: `lambdanets VERB`. One file a verb; torch loads only when a verb has work for it."""

from lambdanets.cli.entry import main as main
