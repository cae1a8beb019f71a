"""Daily-mean insolation from orbital elements (Milankovitch; Berger 1978, J. Atmos. Sci. 35, 2362).

For a declination d and x = sin(latitude) the daily mean at distance r (in semi-major axes) is

    Q(x) = S / (pi r^2) * (x sin d * h + sqrt(cos^2 d - x^2)),   h = atan2(sqrt(cos^2 d - x^2), -x sin d),

with the half-day length h and the root set to 0 where the sun does not cross the horizon (equation 8 of Berger 1978,
with sin h cos(latitude) cos d written as the root). Grid cells need its mean over a range of x, which
`_insolation_integral` gives in closed form, so that the mean over all latitudes is S / (4 r^2) to rounding.
"""

import math

import torch
from torch import Tensor

from astrobio.data.planets import SOLAR_CONSTANT_W_M2, PlanetParameters

# Newton's method on Kepler's equation from E = M + e sin M: quadratic, at rounding after 5 steps for e <= 0.5.
_KEPLER_ITERATIONS = 6


def sine_latitude_edges(num_latitudes: int, *, like: Tensor) -> Tensor:
    """Edges of cells of equal area in x = sin(latitude), south to north: (num_latitudes + 1,)."""
    return torch.linspace(-1.0, 1.0, num_latitudes + 1, dtype=like.dtype, device=like.device)


def cell_mean_insolation(planets: PlanetParameters, *, num_times: int, num_latitudes: int) -> Tensor:
    """The daily-mean insolation, averaged over each equal-area latitude cell.

    Times are equally spaced over one orbit and begin at the northern vernal equinox. Values are not checked; see
    `PlanetParameters.require_physical`.

    Returns:
        (B, num_times, num_latitudes) in W/m2, latitudes from south to north.
    """
    sin_declination, inverse_distance_squared = orbit(planets, num_times=num_times)
    edges = sine_latitude_edges(num_latitudes, like=planets.instellation)
    integral = _insolation_integral(edges, sin_declination.unsqueeze(-1))  # (B, num_times, num_latitudes + 1)
    cell_mean = integral.diff(dim=-1) * (num_latitudes / (2.0 * math.pi))
    flux = SOLAR_CONSTANT_W_M2 * planets.instellation[:, None] * inverse_distance_squared
    return flux.unsqueeze(-1) * cell_mean


def daily_mean_insolation(sin_latitude: Tensor, sin_declination: Tensor) -> Tensor:
    """The daily mean at a point, as a fraction of the flux S / r^2; the arguments broadcast."""
    root = _horizon_root(sin_latitude, sin_declination)
    product = sin_latitude * sin_declination
    return (product * torch.atan2(root, -product) + root) / math.pi


def orbit(planets: PlanetParameters, *, num_times: int) -> tuple[Tensor, Tensor]:
    """Sine of the declination, and inverse squared distance in semi-major axes, at equally spaced times.

    Returns:
        Two tensors of shape (B, num_times).
    """
    eccentricity = planets.eccentricity[:, None]
    perihelion = torch.deg2rad(planets.perihelion_longitude_deg)[:, None]
    equinox_anomaly = _mean_from_true_anomaly(-perihelion, eccentricity)
    steps = torch.arange(num_times, dtype=perihelion.dtype, device=perihelion.device) * (2.0 * math.pi / num_times)
    eccentric = _eccentric_anomaly(equinox_anomaly + steps, eccentricity)
    true_anomaly = torch.atan2((1 - eccentricity**2).sqrt() * eccentric.sin(), eccentric.cos() - eccentricity)
    sin_declination = torch.deg2rad(planets.obliquity_deg)[:, None].sin() * (true_anomaly + perihelion).sin()
    return sin_declination, (1 - eccentricity * eccentric.cos()) ** -2


def _mean_from_true_anomaly(true_anomaly: Tensor, eccentricity: Tensor) -> Tensor:
    eccentric = torch.atan2((1 - eccentricity**2).sqrt() * true_anomaly.sin(), eccentricity + true_anomaly.cos())
    return eccentric - eccentricity * eccentric.sin()


def _eccentric_anomaly(mean_anomaly: Tensor, eccentricity: Tensor) -> Tensor:
    eccentric = mean_anomaly + eccentricity * mean_anomaly.sin()
    for _ in range(_KEPLER_ITERATIONS):
        error = eccentric - eccentricity * eccentric.sin() - mean_anomaly
        eccentric = eccentric - error / (1 - eccentricity * eccentric.cos())
    return eccentric


def _horizon_root(x: Tensor, sin_declination: Tensor) -> Tensor:
    # Clamped just above 0: sqrt has no finite gradient at 0, where the sun touches the horizon.
    return (1 - sin_declination**2 - x**2).clamp(min=1e-30).sqrt()


def _insolation_integral(x: Tensor, sin_declination: Tensor) -> Tensor:
    """An antiderivative in x of pi Q(x) r^2 / S, exact through polar day and polar night."""
    root = _horizon_root(x, sin_declination)
    product = x * sin_declination
    polar = x * product * torch.atan2(root, -product) - sin_declination * torch.atan2(product, root)
    return 0.5 * (polar + x * root + torch.atan2(x, root))
