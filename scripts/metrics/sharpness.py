"""How sharp an image is, without a reference: variance of the Laplacian, and mean magnitude of the spectrum.

Images are (X, Y), or (C, X, Y) whose channels are averaged, in [-1, 1]. Another shape, sides under 3 pixels and NaN are
a ValueError. Results are 0 or more.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def laplacian_variance(image: ArrayLike) -> float:
    """Variance of the Laplacian (Pertuz et al. 2013, LAPV); higher is sharper.

    The Laplacian is the 4-neighbour one, I(x-1, y) + I(x+1, y) + I(x, y-1) + I(x, y+1) - 4 I(x, y), at the inner pixels
    only: a border has no neighbours outside, and padding would make edges or hide them. Pertuz et al. sum over a
    window; this is the mean over the whole image, so that sizes compare. It grows with the square of the contrast:
    compare images of one intensity range, and real ones beside synthetic ones.
    """
    values = _checked(image)  # (C, X, Y)
    center = values[:, 1:-1, 1:-1]
    sides = values[:, :-2, 1:-1] + values[:, 2:, 1:-1] + values[:, 1:-1, :-2] + values[:, 1:-1, 2:]
    return float((sides - 4 * center).var(axis=(1, 2)).mean())  # (C, X - 2, Y - 2) to a number


def fourier_mean(image: ArrayLike) -> float:
    """Mean magnitude of the 2D Fourier transform (LcGAN, section 3.2.2, citing De and Masilamani 2013).

    Higher is sharper. The transform is orthonormal, so that white noise scores the same at any size (sqrt(pi) / 2 of
    its standard deviation). The constant term is left out: it is the brightness, which blurring keeps, and would
    outweigh the rest. De and Masilamani count coefficients above a threshold; LcGAN takes "the mean of all values".
    Here it is the mean of the X * Y - 1 others.
    """
    values = _checked(image)  # (C, X, Y)
    magnitude = np.abs(np.fft.fft2(values, norm="ortho"))  # (C, X, Y)
    magnitude[:, 0, 0] = 0
    return float(magnitude.sum(axis=(1, 2)).mean() / (values[0].size - 1))


def _checked(image: ArrayLike) -> NDArray[np.float64]:
    """The image as (C, X, Y) in double precision."""
    values = np.asarray(image, dtype=np.float64)
    if values.ndim not in (2, 3) or values.size == 0 or min(values.shape[-2:]) < 3:
        raise ValueError(f"The image has shape {values.shape}; expected (X, Y) or (C, X, Y), 3 x 3 pixels or more.")
    if not np.isfinite(values).all():
        raise ValueError("The image holds NaN or infinite values; mend or leave out the image first.")
    return values.reshape(-1, *values.shape[-2:])
