"""Lambda layers as pure functions on tensors."""

from lambdanets.ops.api import apply_lambdas as apply_lambdas
from lambdanets.ops.api import explain as explain
from lambdanets.ops.content import content_lambda as content_lambda
from lambdanets.ops.explanation import Explanation as Explanation
from lambdanets.ops.problem import Problem as Problem
