"""All parts of the study, in the order in which `lambdanets study all` finds them out and shows them."""

from lambdanets.study.memory import Memory
from lambdanets.study.parameters import Parameters
from lambdanets.study.part import Part
from lambdanets.study.scope import Scope

PARTS: tuple[Part, ...] = (Parameters(), Memory(), Scope())
