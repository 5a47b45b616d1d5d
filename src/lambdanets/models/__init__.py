"""The networks, by name: the paper's study, the LambdaResNet family, and the demo network."""

from lambdanets.models.counting import Description as Description
from lambdanets.models.counting import count_parameters as count_parameters
from lambdanets.models.counting import describe as describe
from lambdanets.models.network import ResNet as ResNet
from lambdanets.models.registry import create_model as create_model
from lambdanets.models.registry import list_models as list_models
from lambdanets.models.weights import load_weights as load_weights
from lambdanets.models.weights import save_weights as save_weights
