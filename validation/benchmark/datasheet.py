"""Peak rates that vendors state, dense: figures for sparse matrices are twice as high and are not what is compared.

A device is looked up by its exact name and its memory; one that is not here has no peak, and no other's is taken.
"""

from collections.abc import Mapping
from dataclasses import dataclass

GIB = 2**30
# Firmware and the driver keep some for themselves: an 80 GB part reports 79.1 to 79.7 GiB.
_LEAST_SHARE, _MOST_SHARE = 0.9, 1.02


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part: the name that the driver reports, memory in GiB, dense peaks in TFLOP/s by dtype, and its source.

    float32 is the rate without TensorFloat-32, which is off while timing.
    """

    name: str
    memory_gib: int
    tflops: Mapping[str, float]
    bandwidth_gbytes_per_s: float
    source: str
    entered_on: str = "2026-11-26"

    def flops_per_s(self, dtype: str) -> float | None:
        """Return the dense peak of a dtype; None where the vendor states none."""
        stated = self.tflops.get(dtype)
        return None if stated is None else stated * 1e12


def _half(rate: float, float32: float, float64: float | None = None) -> dict[str, float]:
    rates = {"float16": rate, "bfloat16": rate, "float32": float32}
    return rates if float64 is None else rates | {"float64": float64}


_A100 = "NVIDIA A100 Tensor Core GPU data sheet, 2021 (dense column)"
_H100 = "NVIDIA H100 Tensor Core GPU data sheet, 2023 (sparse figures halved)"
_H200 = "NVIDIA H200 Tensor Core GPU data sheet, 2024 (sparse figures halved)"
PARTS = (
    Part(name="NVIDIA A100-SXM4-40GB", memory_gib=40, tflops=_half(312, 19.5, 19.5), bandwidth_gbytes_per_s=1555,
         source=_A100),
    Part(name="NVIDIA A100-SXM4-80GB", memory_gib=80, tflops=_half(312, 19.5, 19.5), bandwidth_gbytes_per_s=2039,
         source=_A100),
    Part(name="NVIDIA A100-PCIE-40GB", memory_gib=40, tflops=_half(312, 19.5, 19.5), bandwidth_gbytes_per_s=1555,
         source=_A100),
    Part(name="NVIDIA A100 80GB PCIe", memory_gib=80, tflops=_half(312, 19.5, 19.5), bandwidth_gbytes_per_s=1935,
         source=_A100),
    Part(name="NVIDIA H100 80GB HBM3", memory_gib=80, tflops=_half(989.4, 67, 67), bandwidth_gbytes_per_s=3350,
         source=_H100),
    Part(name="NVIDIA H100 PCIe", memory_gib=80, tflops=_half(756, 51, 51), bandwidth_gbytes_per_s=2000,
         source=_H100),
    Part(name="NVIDIA H100 NVL", memory_gib=94, tflops=_half(835.5, 60, 60), bandwidth_gbytes_per_s=3900,
         source=_H100),
    Part(name="NVIDIA H200", memory_gib=141, tflops=_half(989.4, 67, 67), bandwidth_gbytes_per_s=4800,
         source=_H200),
    Part(name="NVIDIA L4", memory_gib=24, tflops=_half(121, 30.3), bandwidth_gbytes_per_s=300,
         source="NVIDIA L4 Tensor Core GPU data sheet, 2023 (sparse figures halved)"),
    Part(name="NVIDIA L40S", memory_gib=48, tflops=_half(362.05, 91.6), bandwidth_gbytes_per_s=864,
         source="NVIDIA L40S data sheet, 2023 (dense column)"),
    Part(name="NVIDIA RTX A6000", memory_gib=48, tflops=_half(154.8, 38.7), bandwidth_gbytes_per_s=768,
         source="NVIDIA Ampere GA102 architecture white paper, 2021 (309.7 is the sparse figure)"),
    Part(name="Tesla T4", memory_gib=16, tflops={"float16": 65, "float32": 8.1}, bandwidth_gbytes_per_s=320,
         source="NVIDIA T4 data sheet, 2019; it has no bfloat16"),
)  # fmt: skip


def part_of(name: str, memory_bytes: int | None) -> Part | None:
    """Return the part with this very name and as much memory; None where the table has none."""
    for part in PARTS:
        stated = part.memory_gib * GIB
        if part.name == name and memory_bytes is not None:
            return part if _LEAST_SHARE * stated <= memory_bytes <= _MOST_SHARE * stated else None
    return None
