import torch

from lambdanets.detection.sampling import NOTHING, ChanceSampler

MATCHED = [torch.tensor([1, 2, 3, 0, 0, 0, 0, 0, -1, -1]), torch.tensor([0] * 6 + [-1] * 3)]


def chosen(sampler: ChanceSampler, matched: list[torch.Tensor]) -> list[list[int]]:
    positive, negative = sampler(matched)
    return [torch.where(p + n > 0)[0].tolist() for p, n in zip(positive, negative, strict=True)]


def sampler(*chances: int) -> ChanceSampler:
    made = ChanceSampler(4, 0.5, number=0)
    made.chances = chances
    return made


def test_the_choice_is_balanced_and_leaves_out_what_is_neither() -> None:
    drawn = sampler(7, 8)
    (positive, none), (negative, others) = drawn(MATCHED)
    assert (positive.sum(), negative.sum(), none.sum(), others.sum()) == (2, 2, 0, 4)
    assert not (positive * (MATCHED[0] < 1)).any()
    assert not (negative * (MATCHED[0] != 0)).any()
    assert (drawn.num_sampled, drawn.num_positive) == (8, 2)


def test_a_pictures_choice_does_not_depend_on_the_others_or_on_torchs_random_numbers() -> None:
    both = chosen(sampler(7, 8), MATCHED)
    torch.manual_seed(0)
    assert chosen(sampler(8, 7), MATCHED[::-1]) == both[::-1]
    assert chosen(sampler(8), MATCHED[1:]) == both[1:]


def test_other_chances_choose_otherwise() -> None:
    assert len({tuple(chosen(sampler(chance), MATCHED[:1])[0]) for chance in range(20)}) > 5


def test_samplers_with_the_same_chance_choose_by_themselves() -> None:
    many = [torch.zeros(100)]
    first, second = (ChanceSampler(10, 0.5, number=number) for number in (0, 1))
    first.chances = second.chances = [3]
    assert chosen(first, many) != chosen(second, many)


def test_nothing_is_chosen_of_a_picture_to_learn_nothing_from() -> None:
    assert chosen(sampler(NOTHING, 8), MATCHED)[0] == []


def test_without_chances_torchs_random_numbers_decide() -> None:
    torch.manual_seed(0)
    first = chosen(sampler(), MATCHED)
    torch.manual_seed(0)
    assert chosen(sampler(), MATCHED) == first
