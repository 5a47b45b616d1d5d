"""Lambda layers as modules, and the small modules their networks need."""

from lambdanets.layers.interactions import Interactions as Interactions
from lambdanets.layers.interactions import interactions as interactions
from lambdanets.layers.interactions import lambda_inputs as lambda_inputs
from lambdanets.layers.lambda_layer import LambdaLayer as LambdaLayer
from lambdanets.layers.position_table import PositionTable as PositionTable
from lambdanets.layers.position_table import global_scope as global_scope
from lambdanets.layers.squeeze_excite import SqueezeExcite as SqueezeExcite
