"""Teach a trained network something else: which digits are odd.

    python examples/fine_tune.py [RUN]

RUN is a folder of `lambdanets train digits`; without it training starts from nothing, and is seen to learn less. The
classifier is new; what lies below it learns ten times more slowly. One form (one hand) is held out to judge by.
"""

import sys
from dataclasses import replace

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from lambdanets import create_model, load_run
from lambdanets.data.digits import DigitsConfig

STEPS, BATCH = 21, 32


def main() -> None:
    torch.manual_seed(0)
    model, config = create_model("lambda_tiny", num_classes=10, in_chans=1), DigitsConfig()
    if len(sys.argv) > 1:
        run = load_run(sys.argv[1])
        model, config = run.model.train(), run.config.data  # with the run's own options
    model.reset_classifier(2)
    classifier = list(model.classifier.parameters())
    body = [p for name, p in model.named_parameters() if not name.startswith("classifier.")]
    optimizer = torch.optim.AdamW([{"params": body, "lr": 1e-3}, {"params": classifier, "lr": 1e-2}])

    data = replace(config, validation_forms=(8,)).load()
    order = np.random.default_rng(0).permutation(len(data.train))
    for step in range(STEPS):
        chosen = order[step * BATCH : (step + 1) * BATCH]
        batch = data.train.augmented(chosen, np.zeros_like(chosen), seed=0)
        loss = cross_entropy(model(batch.images), batch.labels % 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 10 == 0:
            print(f"step {step}: loss {loss.item():.3f}")

    model.eval()
    with torch.no_grad():
        batch = data.validation.plain(np.arange(len(data.validation)))
        right = (model(batch.images).argmax(1) == batch.labels % 2).float().mean()
    print(f"odd or even, {len(batch.labels)} digits of another hand: {right:.1%} right")


if __name__ == "__main__":
    main()
