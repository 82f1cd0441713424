"""Number formats: how many bytes a stored element takes, and which of a chip's rates can multiply it.

Scales are counted with the elements they scale (bytes = payload + scale / block):

* fp8-block: one fp32 scale for a 128 x 128 tile of weights, or for 128 activations of a token (DeepSeek-V3 technical
  report, arXiv:2412.19437, section 3.3);
* mxfp8, mxfp4: one 8-bit scale for 32 elements (OCP Microscaling Formats 1.0, section 5.1);
* nvfp4: one fp8 scale for 16 elements (NVIDIA, *Introducing NVFP4*, 2025);
* int4: one fp16 scale for 128 elements, the default group of GPTQ and AWQ (arXiv:2306.00978).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from roofline.core.errors import unknown
from roofline.core.units import Bytes

PEAKS: Final = ("fp64", "fp32", "tf32", "bf16", "fp16", "fp8", "int8", "fp6", "fp4", "int4")
"""The rates a chip descriptor may state."""


@frozen
class Dtype:
    """A number format.

    Attributes:
        bytes: of one stored weight, scales included.
        rates: the rates that can multiply it, best first.
        activation: bytes of one activation quantised to it, where that differs.
    """

    name: str
    bytes: Bytes
    rates: tuple[str, ...]
    activation: Bytes = 0.0

    @property
    def passed(self) -> Bytes:
        """Bytes of one activation in this format."""
        return self.activation or self.bytes

    def rate(self, peaks: Mapping[str, object]) -> str | None:
        """Return the best of this format's rates that a chip has; None if it has none of them."""
        return next((rate for rate in self.rates if rate in peaks), None)


_16: Final = ("bf16", "fp16")

DTYPES: Final[Mapping[str, Dtype]] = {
    dtype.name: dtype
    for dtype in (
        Dtype("bf16", 2.0, ("bf16", "fp16")),
        Dtype("fp16", 2.0, ("fp16", "bf16")),
        Dtype("fp32", 4.0, ("fp32", "tf32")),
        Dtype("tf32", 4.0, ("tf32", "fp32")),
        Dtype("fp8", 1.0, ("fp8", *_16)),
        Dtype("fp8-block", 1.0 + 4 / 128**2, ("fp8", *_16), activation=1.0 + 4 / 128),
        Dtype("mxfp8", 1.0 + 1 / 32, ("fp8", *_16)),
        Dtype("int8", 1.0, ("int8", *_16)),
        # Weight-only: the multiplication runs in 16 bits.
        Dtype("w8a16", 1.0, _16),
        Dtype("int4", 0.5 + 2 / 128, _16),
        Dtype("nvfp4", 0.5 + 1 / 16, ("fp4", *_16)),
        Dtype("nvfp4-a16", 0.5 + 1 / 16, _16),
        Dtype("mxfp4", 0.5 + 1 / 32, ("fp4", *_16)),
    )
}


def dtype(name: str) -> Dtype:
    """Return the format called ``name``.

    Raises:
        UnknownNameError: no such format.

    >>> dtype("nvfp4").bytes, dtype("fp8").rate({"bf16": 1.0})
    (0.5625, 'bf16')
    """
    if name not in DTYPES:
        raise unknown("dtype", name, DTYPES)
    return DTYPES[name]
