"""All parts of the study, in the order in which `lambdanets study all` finds them out and shows them."""

from lambdanets.study.interactions import Interactions
from lambdanets.study.long_range import LongRange
from lambdanets.study.memory import Memory
from lambdanets.study.parameters import Parameters
from lambdanets.study.pareto import Pareto
from lambdanets.study.part import Part
from lambdanets.study.scope import Scope
from lambdanets.study.speed import Speed

PARTS: tuple[Part, ...] = (Parameters(), Memory(), Speed(), Scope(), Pareto(), Interactions(), LongRange())
