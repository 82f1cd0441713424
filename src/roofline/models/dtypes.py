"""Number formats: how many bytes a stored element takes, and which of a chip's rates can multiply it.

Scales are counted with the elements they scale (bytes = payload + scale / block):

* fp8-block: one fp32 scale for a 128 x 128 tile of weights, or for 128 activations of a token (DeepSeek-V3 technical
  report, arXiv:2412.19437, section 3.3);
* mxfp8, mxfp4: one 8-bit scale for 32 elements (OCP Microscaling Formats 1.0, section 5.1);
* nvfp4: one fp8 scale for 16 elements (NVIDIA, *Introducing NVFP4*, 2025);
* int4: one fp16 scale for 128 elements, the default group of GPTQ and AWQ (arXiv:2306.00978);
* nf4: one fp32 scale for 64 elements; nf4-dq: those scales in 8 bits, with one fp32 scale for 256 of them (QLoRA, arXiv:2305.14314).

Other groups are part of a name: ``int4-g32`` has one 16-bit scale for 32 elements, ``int4-g128-zp`` also a zero point of 4 bits, and
``int4-g64-z16`` one of 16 bits. Formats with a scale for a whole channel or tensor count no scales (less than 0.1 % of the bytes).
"""

from __future__ import annotations

import functools
import re
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
        name: name of the format, such as ``nvfp4``.
        bytes: of one stored weight, scales included.
        rates: the rates that can multiply it, best first.
        activation: bytes of one activation quantised to it, where that differs.
        kind: the format without its group, by which kernels are distinguished; its name where that says no group.
    """

    name: str
    bytes: Bytes
    rates: tuple[str, ...]
    activation: Bytes = 0.0
    kind: str = ""

    @property
    def plain(self) -> str:
        """The name of the format without its group."""
        return self.kind or self.name

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
        Dtype("mxfp6", 0.75 + 1 / 32, ("fp6", "fp8", *_16)),
        Dtype("nf4", 0.5 + 4 / 64, _16),
        Dtype("nf4-dq", 0.5 + 1 / 64 + 4 / (64 * 256), _16),
        # Four-bit weights that are widened to eight bits, with activations of eight bits.
        Dtype("w4a8", 0.5 + 2 / 128, ("int8", *_16), activation=1.0),
        Dtype("w4a8-fp8", 0.5 + 2 / 128, ("fp8", *_16), activation=1.0),
        Dtype("w4a4", 0.5 + 2 / 128, ("int4", "int8", *_16), activation=0.5),
        Dtype("mxfp4-a8", 0.5 + 1 / 32, ("fp8", *_16), activation=1.0),
        Dtype("nvfp4-a8", 0.5 + 1 / 16, ("fp8", *_16), activation=1.0),
        *(Dtype(f"int{bits}", bits / 8 + 2 / 128, _16) for bits in (2, 3, 5, 6)),
    )
}

_PAYLOADS: Final[Mapping[str, float]] = {
    **{f"int{bits}": bits / 8 for bits in (2, 3, 4, 5, 6)}, "w8a16": 1.0, "int8": 1.0, "fp8": 1.0, "w4a8": 0.5, "w4a8-fp8": 0.5,
    "w4a4": 0.5,
}  # fmt: skip
"""Bytes of an element without its scales, of the formats that may have groups of any size."""
_GROUPED: Final = re.compile(r"(?P<kind>.+?)-(?P<group>g[1-9][0-9]{0,5}|channel)(?P<zero>-zp|-z16)?")


def grouped(kind: str, group: int, zero: str = "") -> str:
    """Return the name of a format with one 16-bit scale for ``group`` elements (0: for a whole channel).

    Args:
        zero: ``"zp"`` for zero points of the width of an element, ``"z16"`` for zero points of 16 bits, empty for none.

    >>> grouped("int4", 128), grouped("int4", 32, "zp"), dtype(grouped("int4", 32, "zp")).bytes
    ('int4', 'int4-g32-zp', 0.578125)
    """
    usual = DTYPES[kind].bytes == _PAYLOADS[kind] + (2 / group if group else 0)
    if usual and not (zero and group):
        return kind
    return f"{kind}-{f'g{group}' if group else 'channel'}{f'-{zero}' if zero and group else ''}"


@functools.lru_cache(maxsize=512)
def _made(name: str) -> Dtype | None:
    """Return the format of a name that says its group."""
    match = _GROUPED.fullmatch(name)
    if match is None or match["kind"] not in _PAYLOADS:
        return None
    kind, payload = DTYPES[match["kind"]], _PAYLOADS[match["kind"]]
    if match["group"] == "channel":
        return Dtype(name, payload, kind.rates, kind.activation, kind.name)
    scales = 2 + {None: 0.0, "-zp": payload, "-z16": 2.0}[match["zero"]]
    return Dtype(name, payload + scales / int(match["group"][1:]), kind.rates, kind.activation, kind.name)


def dtype(name: str, what: str = "dtype") -> Dtype:
    """Return the format called ``name``.

    Args:
        name: of the format.
        what: the word that it was given for, for the message.

    Raises:
        UnknownNameError: no such format.

    >>> dtype("nvfp4").bytes, dtype("fp8").rate({"bf16": 1.0})
    (0.5625, 'bf16')
    """
    found = DTYPES.get(name) or _made(name)
    if found is None:
        raise unknown(what, name, DTYPES)
    return found
