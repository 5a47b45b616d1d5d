"""One split made of two: the stated mix in every batch, every sample once an epoch of its part, from any step on."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdanets.data.digits import DigitsConfig, DigitsSplit, load_split
from lambdanets.data.mixture import Mixture
from lambdanets.data.pseudo import LabelsError, PseudoConfig, Targets, write_labels
from lambdanets.data.stored import StoredConfig, StoredImages
from lambdanets.data.written_digits import write_digits

CLASSES = [str(digit) for digit in range(10)]
DIGITS = load_split([0], DigitsConfig())


def hard(classes: list[int]) -> Targets:
    rows = np.array(classes, dtype=np.int64)
    ones = np.ones(len(rows), dtype=np.float32)
    return Targets(num_classes=10, starts=np.arange(len(rows) + 1), classes=rows, shares=ones)


def soft(count: int) -> Targets:
    """A half for class 1, a half for class 2."""
    classes = np.tile(np.array([1, 2], dtype=np.int64), count)
    halves = np.full(2 * count, 0.5, dtype=np.float32)
    return Targets(num_classes=10, starts=np.arange(count + 1) * 2, classes=classes, shares=halves)


def mixture(labelled: int, pool: int, share: float, *, targets: Targets | None = None, weight: float = 1) -> Mixture:
    """Digits of which the first few are labelled and the next few are the pool."""
    whole = DIGITS.part(np.arange(labelled + pool))
    parts = whole.part(np.arange(labelled)), whole.part(np.arange(labelled, labelled + pool))
    made = targets or hard([7] * pool)
    return Mixture(labelled=parts[0], pool=parts[1], targets=made, share=share, weight=weight)


@settings(max_examples=60, deadline=None)
@given(
    labelled=st.integers(1, 9),
    pool=st.integers(1, 23),
    share=st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1)),
    size=st.integers(2, 16),
    seed=st.integers(0, 2**63 - 1),
)
def test_every_batch_has_the_mix_and_every_sample_its_turn(
    labelled: int, pool: int, share: float, size: int, seed: int
) -> None:
    mixed = mixture(labelled, pool, share)
    seen: dict[bool, list[tuple[int, int]]] = {False: [], True: []}
    for step in range(12):
        epochs, indices = mixed.samples_at(step * size, size, seed)
        assert len(epochs) == len(indices) == size
        of_pool = int((indices >= labelled).sum())
        assert abs(of_pool - size * share) <= 1
        for epoch, index in zip(epochs.tolist(), indices.tolist(), strict=True):
            seen[index >= labelled].append((epoch, index))
    for is_pool, count in ((False, labelled), (True, pool)):
        pairs = seen[is_pool]
        assert len(set(pairs)) == len(pairs)  # no sample twice in an epoch
        full = {epoch for epoch, _ in pairs if epoch < max(epoch for epoch, _ in pairs)}
        for epoch in full:
            assert sum(other == epoch for other, _ in pairs) == count  # and none left out


def test_a_batch_is_a_pure_function_of_seed_and_position() -> None:
    mixed = mixture(8, 30, 0.6)
    again = [mixture(8, 30, 0.6).samples_at(10 * step, 10, 5) for step in reversed(range(6))][::-1]
    for step in range(6):
        for found, expected in zip(mixed.samples_at(10 * step, 10, 5), again[step], strict=True):
            assert found.tolist() == expected.tolist()
    assert mixed.samples_at(0, 10, 5)[1].tolist() != mixed.samples_at(0, 10, 6)[1].tolist()


def test_each_process_gets_both_kinds() -> None:
    mixed = mixture(20, 40, 0.5)
    kinds = np.concatenate([mixed.samples_at(16 * step, 16, 0)[1] >= 20 for step in range(20)])
    assert 0.3 < kinds[::2].mean() < 0.7


@pytest.mark.parametrize("way", ["plain", "augmented"])
def test_samples_come_from_their_part_in_the_order_asked_for(way: str) -> None:
    mixed = mixture(5, 6, 0.5, weight=0.25)
    asked = np.array([7, 0, 10, 4, 5])
    epochs = np.arange(5)
    batch = mixed.plain(asked) if way == "plain" else mixed.augmented(asked, epochs, 3)
    for place, index in enumerate(asked):
        alone = np.array([index]), epochs[[place]]
        one = mixed.plain(alone[0]) if way == "plain" else mixed.augmented(*alone, 3)
        assert torch.equal(one.images[0], batch.images[place])
        if way == "plain":
            assert torch.equal(one.images[0], DIGITS.plain(alone[0]).images[0])
    assert batch.labels.tolist() == [7, int(DIGITS.labels[0]), 7, int(DIGITS.labels[4]), 7]
    assert batch.weights.tolist() == [0.25, 1, 0.25, 1, 0.25]


def test_the_pool_is_varied_by_other_numbers() -> None:
    same = DIGITS.part(np.array([3]))
    mixed = Mixture(labelled=same, pool=same, targets=hard([1]), share=0.5, weight=1)
    first, second = mixed.augmented(np.array([0, 1]), np.array([0, 0]), 0).images
    assert not torch.equal(first, second)


@pytest.mark.parametrize("asked", [[0, 6], [0, 1], [6, 7]], ids=["both", "labelled", "pool"])
def test_true_labels_become_one_hot_rows_beside_soft_ones(asked: list[int]) -> None:
    rows = mixture(5, 6, 0.5, targets=soft(6)).plain(np.array(asked)).labels
    assert rows.shape == (2, 10)
    for row, index in zip(rows, asked, strict=True):
        if index < 5:
            assert row[DIGITS.labels[index]] == 1
        else:
            assert row[[1, 2]].tolist() == [0.5, 0.5]
        assert row.sum() == 1


def test_a_mixture_can_be_sent_to_workers() -> None:
    mixed = mixture(5, 6, 0.5, targets=soft(6))
    sent = pickle.loads(pickle.dumps(mixed))
    assert torch.equal(sent.plain(np.arange(11)).images, mixed.plain(np.arange(11)).images)


def labels_for(path: Path, pool: StoredImages | DigitsSplit, where: str, classes: list[str] = CLASSES) -> str:
    """A file that says "3" of the first six pictures of a pool."""
    three = classes.index("3") if "3" in classes else 0
    lines = [{"name": pool.name(i), "sha256": pool.content_hash(i), "label": three, "confidence": 1} for i in range(6)]
    write_labels(path, {"classes": classes, "pool": where}, lines)
    return str(path)


def test_digits_are_mixed_with_their_own_pool(tmp_path: Path) -> None:
    config = DigitsConfig(labelled=20)
    labels = labels_for(tmp_path / "labels", config.load_pool(), "digits")
    train = replace(config, pseudo=PseudoConfig(labels=labels)).load().train
    assert isinstance(train, Mixture)
    assert (len(train), train.num_classes, train.num_channels) == (26, 10, 1)
    assert train.plain(np.arange(20, 26)).labels.tolist() == [3] * 6
    assert train.name(20) == config.load_pool().name(0)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits") / "tree"
    write_digits(folder, "tree", 8)
    return folder


def test_stored_pictures_are_mixed_with_a_pool_elsewhere(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    for number, file in enumerate(sorted((tree / "val").rglob("*.png"))[:8]):
        (tmp_path / "pool" / f"{number}.png").write_bytes(file.read_bytes())
    config = StoredConfig(path=str(tree), image_size=32, mean=(0.2,), std=(0.3,))
    pool = config.load_pool(str(tmp_path / "pool"))
    labels = labels_for(tmp_path / "labels", pool, str(tmp_path / "pool"))
    train = replace(config, pseudo=PseudoConfig(labels=labels)).load().train
    assert isinstance(train, Mixture)
    assert len(train) == 1287 + 6
    assert train.augmented(np.array([1287, 0]), np.array([0, 0]), 0).labels[0] == 3
    (tmp_path / "pool").rename(tmp_path / "moved")
    with pytest.raises(ValueError, match="pool"):
        replace(config, pseudo=PseudoConfig(labels=labels)).load()
    moved = PseudoConfig(labels=labels, pool=str(tmp_path / "moved"))
    assert len(replace(config, pseudo=moved).load().train) == 1293
    (tmp_path / "moved" / "0.png").write_bytes((tmp_path / "moved" / "7.png").read_bytes())
    with pytest.raises(LabelsError, match="content has changed"):
        replace(config, pseudo=moved).load()
    (tmp_path / "moved" / "0.png").unlink()
    with pytest.raises(LabelsError, match="labels 1 of 6 pictures that are not in the pool"):
        replace(config, pseudo=moved).load()


def test_classes_are_matched_by_name(tmp_path: Path) -> None:
    config = DigitsConfig(labelled=20)
    backwards = labels_for(tmp_path / "labels", config.load_pool(), "digits", CLASSES[::-1])
    train = replace(config, pseudo=PseudoConfig(labels=backwards)).load().train
    assert train.plain(np.array([20])).labels.tolist() == [3]
    strange = labels_for(tmp_path / "labels", config.load_pool(), "digits", [*CLASSES, "cat"])
    with pytest.raises(LabelsError, match="cat"):
        replace(config, pseudo=PseudoConfig(labels=strange)).load()


def test_a_mix_without_labels_says_how_to_make_them() -> None:
    with pytest.raises(LabelsError, match="lambdanets pseudo-label"):
        DigitsConfig(labelled=20, pseudo=PseudoConfig(labels="")).load()
