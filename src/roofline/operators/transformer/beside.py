"""What runs beside the blocks of every layer: hyper-connections between residual streams, and per-layer embeddings."""

from __future__ import annotations

from typing import NamedTuple

from roofline.models.architecture import Absent, Model
from roofline.operators.transformer.flow import Flow, Matrix, elementwise, gemm, norms
from roofline.operators.works import Work


class Beside(NamedTuple):
    """Works that are done ``times`` times in a pass."""

    name: str
    times: int
    works: tuple[Work, ...]


def _blocks(model: Model) -> int:
    """Return the blocks of all layers, each with its own connections to the streams."""
    return sum(run.count * sum(not isinstance(b, Absent) for b in (run.attention, run.ffn)) for run in model.layers)


def _mixing(model: Model) -> tuple[Matrix, ...]:
    hyper = model.hyper
    if hyper is None:
        return ()
    inputs, biases = hyper.streams * model.hidden, hyper.coefficients + hyper.scales
    return (Matrix("mix streams", "residual", inputs, hyper.coefficients, biases=biases),)


def _injection(model: Model) -> tuple[Matrix, ...]:
    """Return the gate and the projection of a layer's own embedding."""
    if model.per_layer is None:
        return ()
    dim = model.per_layer.dim
    return Matrix("gate", "residual", model.hidden, dim), Matrix("project", "residual", dim, model.hidden)


def _spread(model: Model) -> tuple[Matrix, ...]:
    """Return the projection of the embedding to all layers' vectors."""
    if model.per_layer is None:
        return ()
    return (Matrix("spread", "residual", model.hidden, model.depth * model.per_layer.dim),)


def _merge(model: Model) -> tuple[Matrix, ...]:
    """Return what mixes the streams into one before the head."""
    hyper = model.hyper
    if hyper is None or not hyper.head:
        return ()
    return (Matrix("merge streams", "residual", hyper.streams * model.hidden, hyper.streams, biases=hyper.streams + 1),)


def _fusion(model: Model) -> tuple[Matrix, ...]:
    """Return what makes a draft model's hidden state of its target's."""
    return (Matrix("fuse", "residual", model.fusion, model.hidden),) if model.fusion else ()


def parameters(model: Model) -> int:
    """Return the parameters of it all, embedding table apart."""
    fused = sum(m.elements for m in _fusion(model))
    whole = _blocks(model) * sum(m.elements for m in _mixing(model)) + sum(m.elements for m in _merge(model))
    layers = model.depth * sum(m.elements for m in _injection(model)) + sum(m.elements for m in _spread(model))
    return fused + whole + layers + (0 if model.per_layer is None else model.depth * model.hidden + model.per_layer.dim)


def works(p: Flow) -> tuple[Beside, ...]:
    """Return what runs beside the blocks in one pass on one rank.

    A mixing reads all streams once before a block, and reads and writes them after it: ``B = (3 n + 2) H`` elements a token.
    """
    model, out = p.model, []
    if model.fusion:
        out.append(Beside("fusion", 1, tuple(gemm(p, m.name, m) for m in _fusion(model))))
    if model.hyper is not None:
        streams = model.hyper.streams
        mix = (
            *(gemm(p, m.name, m) for m in _mixing(model)),
            elementwise(p, "streams", (3 * streams + 2) * p.tokens * model.hidden, launches=2.0),
        )
        out.append(Beside("hyper-connections", _blocks(model), mix))
        out.append(Beside("merge streams", 1, tuple(gemm(p, m.name, m) for m in _merge(model))))
    if model.per_layer is not None:
        dim = model.per_layer.dim
        gate, project = _injection(model)
        inject = (
            gemm(p, "gate", gate),
            elementwise(p, "look up and gate", 4 * p.tokens * dim),
            gemm(p, "project", project),
            *norms(p),
        )
        out.append(Beside("per-layer embedding", model.depth, inject))
        out.append(Beside("per-layer projection", 1, tuple(gemm(p, m.name, m) for m in _spread(model))))
    return tuple(out)
