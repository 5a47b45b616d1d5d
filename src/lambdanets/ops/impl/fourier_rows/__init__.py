"""The order `fourier_rows`: Fourier over columns, Toeplitz products over rows, all of it as matrix products."""

from lambdanets.ops.impl.fourier_rows.order import NAME as NAME
from lambdanets.ops.impl.fourier_rows.order import backward as backward
from lambdanets.ops.impl.fourier_rows.order import forward as forward
from lambdanets.ops.impl.fourier_rows.order import why_not as why_not
from lambdanets.ops.impl.fourier_rows.pricing import PRICES as PRICES
from lambdanets.ops.impl.fourier_rows.pricing import cost as cost
from lambdanets.ops.impl.fourier_rows.pricing import work as work
