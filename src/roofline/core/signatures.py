"""Checks keywords of public functions against their annotations at run time."""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from numbers import Real
from pathlib import Path
from typing import Annotated, Any, Final, ForwardRef, Literal, TypeVar, Union, Unpack, cast, get_args, get_origin

import numpy as np

from roofline.core.errors import QuestionError, fault
from roofline.core.fields import masked

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type[Any])
Test = Callable[[Any], bool]

_MOST: Final = 1024
"""Members of a list that are looked at."""


def aliased(**names: str) -> Callable[[F], F]:
    """Return a decorator that accepts keywords under other tools' names too.

    Args:
        names: the other name of each keyword, and its own.

    >>> @aliased(isl="input")
    ... def lengths(input: float = 4096) -> float:
    ...     return input
    >>> lengths(isl=8)
    8
    >>> lengths(isl=8, input=9)
    Traceback (most recent call last):
        ...
    roofline.core.errors.QuestionError: isl=8: is input, which is given too; give one of the two
    """

    def renamed(function: F) -> F:
        @functools.wraps(function)
        def called(*values: Any, **words: Any) -> Any:
            for other, own in names.items():
                if other in words:
                    value = words.pop(other)
                    if own in words:
                        raise QuestionError(fault(other, value, f"is {own}, which is given too", "give one of the two"))
                    words[own] = value
            return function(*values, **words)

        return cast("F", called)

    return renamed


def typed(function: F) -> F:
    """Return the function with its arguments checked against their annotations.

    A number is any real one, a list or an array of them; a text is no number, and neither is a truth value.

    >>> @typed
    ... def double(value: float, name: str | None = None) -> float:
    ...     return 2 * value
    >>> double(4)
    8
    >>> double("4")
    Traceback (most recent call last):
        ...
    roofline.core.errors.QuestionError: value='4': must be a number
    """

    @functools.cache
    def tests() -> tuple[tuple[str, ...], dict[str, tuple[Test, str]]]:
        found = dict[str, tuple[Test, str]]()
        parameters = inspect.signature(function).parameters
        # Those that take what is left of the values (``*systems``) have no name of their own for each.
        plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        for name, parameter in parameters.items():
            hint = _hint(parameter.annotation, function.__module__)
            if parameter.kind is parameter.VAR_KEYWORD:
                inner: Any = get_args(hint)[0] if get_origin(hint) is Unpack else None
                members = {} if inner is None else inner.__annotations__
                found |= {word: _test(_hint(each, inner.__module__)) for word, each in members.items()}
            elif parameter.kind is not parameter.VAR_POSITIONAL:
                found[name] = _test(hint)
        return tuple(name for name, parameter in parameters.items() if parameter.kind in plain), found

    @functools.wraps(function)
    def checked(*values: Any, **words: Any) -> Any:
        # What is missing, or given twice, Python says itself.
        named, known = tests()
        for name, value in (*zip(named, values, strict=False), *words.items()):
            test = known.get(name)
            if test is not None and not test[0](value):
                raise QuestionError(fault(name, value, f"must be {test[1]}"))
        return function(*values, **words)

    return cast("F", checked)


def typed_methods(kind: C) -> C:
    """Return the class, whose public methods are :func:`typed`.

    >>> @typed_methods
    ... class Half:
    ...     def of(self, value: float) -> float:
    ...         return value / 2
    >>> Half().of(3)
    1.5
    >>> Half().of("3")
    Traceback (most recent call last):
        ...
    roofline.core.errors.QuestionError: value='3': must be a number
    """
    for name, method in list(vars(kind).items()):
        if isinstance(method, types.FunctionType) and not name.startswith("_"):
            code = method.__code__
            if code.co_argcount + code.co_kwonlyargcount > 1:  # more than ``self``
                setattr(kind, name, typed(method))
    return kind


def _hint(written: Any, module: str) -> Any:
    """Return an annotation as an object; anything where there is none, or one that names what is imported for type checkers alone."""
    if written is inspect.Parameter.empty:
        return object
    text = written.__forward_arg__ if isinstance(written, ForwardRef) else written
    try:
        # As typing.get_type_hints does, which gives up on all where one has no object.
        return eval(text, vars(sys.modules[module])) if isinstance(text, str) else text  # noqa: S307
    except NameError:
        return object


def _test(hint: Any) -> tuple[Test, str]:
    """Return what is true of values that an annotation allows, and words for them."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _test(inside[0])
    if origin in (Union, types.UnionType):
        some = [_test(each) for each in inside]
        names = list(dict.fromkeys(name for _, name in some if name))
        tests = [test for test, _ in some]
        return (lambda value: any(test(value) for test in tests)), " or ".join(
            filter(None, (", ".join(names[:-1]), *names[-1:]))
        )
    if origin is Literal:
        return (lambda value: value in inside), ", ".join(map(repr, inside))
    if hint is None or hint is type(None):
        return (lambda value: value is None), ""
    kind = origin or hint
    if (
        not isinstance(kind, type)
        or kind in (object, Any)
        or issubclass(kind, Executor)
        or getattr(kind, "_is_protocol", False)
    ):
        return (lambda _: True), "anything"
    return _of_class(kind, inside)


def _of_class(kind: type, inside: tuple[Any, ...]) -> tuple[Test, str]:
    if kind is np.ndarray and inside and np.bool_ in get_args(inside[-1]):
        return (lambda value: np.asarray(value).dtype.kind == "b"), "an array of truth values"
    if kind is np.ndarray and inside and np.integer in get_args(inside[-1]):
        # Of none, too.
        return (lambda value: np.asarray(value).dtype.kind in "iu"), "an array of places"
    if kind in (float, np.ndarray):
        return _is_number, "a number"
    if kind is int:
        return (lambda value: _is_real(value) and value == value // 1), "a whole number"
    if kind is bool:
        return (lambda value: isinstance(value, (bool, np.bool_))), "true or false"
    if kind in (Sequence, Iterable):
        each = _test(inside[0])[0] if inside else lambda _: True
        return functools.partial(_is_list, each, kind), "a list"
    if kind is Mapping:
        return (lambda value: isinstance(value, Mapping)), "a mapping"
    names: dict[type, str] = {str: "text", Path: "a path"}
    return (lambda value: isinstance(value, kind)), names.get(kind, f"a {kind.__name__}")


def _is_real(value: Any) -> bool:
    return isinstance(value, (Real, np.number)) and not isinstance(value, (bool, np.bool_, complex, np.complexfloating))


def _is_number(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return len(value) > 0 and all(_is_number(each) for each in value[:_MOST])
    if isinstance(value, np.ndarray) and not masked(value):
        return value.size > 0 and (
            value.dtype.kind in "fiu" or (value.dtype.kind == "O" and all(map(_is_real, value.flat)))
        )
    return _is_real(value)


def _is_list(each: Test, kind: type, value: Any) -> bool:
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, (kind, np.ndarray)):
        return False
    if not isinstance(value, (list, tuple, np.ndarray)):
        return True  # gone through once only, by whoever reads it
    return (not isinstance(value, np.ndarray) or value.ndim == 1) and all(
        each(item) for item in (value.flat if isinstance(value, np.ndarray) else value[:_MOST])
    )
