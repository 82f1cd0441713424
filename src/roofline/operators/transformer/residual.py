"""What a model adds to its residual stream: hyper-connections between several streams, and per-layer embeddings."""

from __future__ import annotations

from roofline.models.architecture import Absent, Model
from roofline.operators.operations import Section
from roofline.operators.transformer.flow import Flow, Matrix, elementwise, gemm, norms


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
    """Return the parameters of both, without the embedding table."""
    fused = sum(m.elements for m in _fusion(model))
    whole = _blocks(model) * sum(m.elements for m in _mixing(model)) + sum(m.elements for m in _merge(model))
    layers = model.depth * sum(m.elements for m in _injection(model)) + sum(m.elements for m in _spread(model))
    return fused + whole + layers + (0 if model.per_layer is None else model.depth * model.hidden + model.per_layer.dim)


def operations(p: Flow) -> tuple[Section, ...]:
    """Return the sections that one pass on one rank adds to those of attention and feed-forward blocks.

    A mixing reads all streams once before a block, and reads and writes them after it: ``B = (3 n + 2) H`` elements a token.
    """
    model, out = p.model, []
    if model.fusion:
        out.append(Section("fusion", 1.0, tuple(gemm(p, m.name, m) for m in _fusion(model))))
    if model.hyper is not None:
        streams = model.hyper.streams
        mix = (
            *(gemm(p, m.name, m) for m in _mixing(model)),
            elementwise(p, "streams", (3 * streams + 2) * p.tokens * model.hidden, launches=2.0, module="residual"),
        )
        out.append(Section("hyper-connections", float(_blocks(model)), mix))
        out.append(Section("merge streams", 1.0, tuple(gemm(p, m.name, m) for m in _merge(model))))
    if model.per_layer is not None:
        dim = model.per_layer.dim
        gate, project = _injection(model)
        inject = (
            gemm(p, "gate", gate),
            elementwise(p, "look up and gate", 4 * p.tokens * dim, module="residual"),
            gemm(p, "project", project),
            *norms(p),
        )
        out.append(Section("per-layer embedding", float(model.depth), inject))
        out.append(Section("per-layer projection", 1.0, tuple(gemm(p, m.name, m) for m in _spread(model))))
    return tuple(out)
