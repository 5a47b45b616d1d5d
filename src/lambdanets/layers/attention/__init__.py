"""The attention layers that the paper compares lambda layers with, each as its own paper defines it."""

from lambdanets.layers.attention.augmented_convolution import AugmentedConvolution as AugmentedConvolution
from lambdanets.layers.attention.axial_attention import AxialAttention as AxialAttention
from lambdanets.layers.attention.linear_attention import LinearAttention as LinearAttention
from lambdanets.layers.attention.local_attention import LocalAttention as LocalAttention
from lambdanets.layers.attention.relative_attention import RelativeAttention as RelativeAttention
