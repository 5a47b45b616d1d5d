import numpy as np

from lambdanets.data.counter import Purpose, random_seed, random_uniforms, random_words

GOLDEN_WORDS = [16321491304643971414, 4585330820673184961, 10430974457111710706]


def test_words_are_a_pure_function_of_the_counters() -> None:
    alone = [int(random_words(Purpose.AUGMENT, 7, epoch, 3)[0]) for epoch in range(5)]
    together = random_words(Purpose.AUGMENT, 7, np.arange(5), 3)
    assert together.tolist() == alone


def test_words_are_those_of_the_first_release() -> None:
    # Golden: a change here changes every run of every user.
    assert random_words(Purpose.ORDER, 0, 0, np.arange(3)).tolist() == GOLDEN_WORDS


def test_every_counter_and_the_purpose_matter() -> None:
    base = random_seed(Purpose.ORDER, 1, 2, 3)
    others = [
        random_seed(Purpose.AUGMENT, 1, 2, 3),
        random_seed(Purpose.ORDER, 2, 2, 3),
        random_seed(Purpose.ORDER, 1, 3, 3),
        random_seed(Purpose.ORDER, 1, 2, 4),
        random_seed(Purpose.ORDER, 2, 1, 3),
    ]
    assert len({base, *others}) == 6


def test_uniforms_fill_the_unit_interval_evenly() -> None:
    draws = random_uniforms(Purpose.AUGMENT, 0, 0, np.arange(100_000))
    assert draws.min() >= 0
    assert draws.max() < 1
    counts = np.histogram(draws, bins=20, range=(0, 1))[0]
    # chi-squared with 19 degrees of freedom exceeds 50 with probability 1.3e-4; the draws are fixed
    assert ((counts - 5000) ** 2 / 5000).sum() < 50


def test_neighbouring_counters_are_uncorrelated() -> None:
    draws = random_uniforms(Purpose.AUGMENT, 0, np.arange(300)[:, None], np.arange(300))
    for neighbour in (draws[1:, :], draws[:, 1:]):
        here = draws[: neighbour.shape[0], : neighbour.shape[1]]
        # the standard error of a correlation over 90 000 pairs is 0.0033
        assert abs(np.corrcoef(here.ravel(), neighbour.ravel())[0, 1]) < 0.015


def test_large_seeds_do_not_overflow() -> None:
    assert 0 <= random_seed(Purpose.STEP, 2**63 - 1, 10**9) < 2**63
