"""Which classes are taken for which, where they are too many for a table."""

import numpy as np

from lambdanets.report.mixed_up import NUM_PAIRS, most_confused, weakest_classes


def test_pairs_come_by_their_images_and_classes_by_their_share() -> None:
    counts = np.array([[8, 2, 0], [5, 5, 0], [0, 0, 0]])
    names = ["cat", "dog", "none"]
    pairs = [(pair.truth, pair.said, pair.count, pair.share) for pair in most_confused(counts, names)]
    assert pairs == [("dog", "cat", 5, 0.5), ("cat", "dog", 2, 0.2)]
    weak = [(one.name, one.correct, one.total) for one in weakest_classes(counts.diagonal(), counts.sum(1), names)]
    assert weak == [("dog", 5, 10), ("cat", 8, 10)]
    assert counts[0, 0] == 8, "the counts are the caller's"


def test_a_perfect_table_has_neither() -> None:
    counts = np.diag([3, 4])
    assert most_confused(counts, ["a", "b"]) == []
    assert weakest_classes(counts.diagonal(), counts.sum(1), ["a", "b"]) == []


def test_there_are_never_more_than_a_page_holds() -> None:
    counts = np.random.default_rng(0).integers(0, 5, (1000, 1000))
    pairs = most_confused(counts, [str(number) for number in range(1000)])
    assert len(pairs) == NUM_PAIRS
    wrong = counts - np.diag(counts.diagonal())
    assert [pair.count for pair in pairs] == sorted(wrong.ravel())[::-1][:NUM_PAIRS]
