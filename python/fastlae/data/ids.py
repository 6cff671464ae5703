"""Ids of users and items: from anything hashable to positions 0, 1, 2 ... and back."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._backend import core_for
from .._names import did_you_mean
from .._threads import resolve_threads
from ..errors import DataError, UnknownIdError

_MISSING = {"NoneType", "NAType"}
_DIGITS = "0123456789"
_ARTICLE_NUMBER = 6  # digits and letters of one length, as in ISBNs with a final X, are text on purpose
_ENOUGH_TO_COMPARE = 500  # difflib looks at ten thousand strings a second, fewer of long ones; unknown ids are routine


class Coded(NamedTuple):
    """A column of ids: the distinct `ids`, ascending where they have an order, and per row a position among them."""

    ids: NDArray[Any]
    codes: NDArray[np.int32]


def as_ids(given: Any, name: str) -> NDArray[Any]:
    """Ids as a vector of int64, of strings, or of any one hashable type (dtype object)."""
    if isinstance(given, np.ndarray):
        values: NDArray[Any] = given
    else:
        listed = given if isinstance(given, (list, tuple)) else list(given)
        kinds = {_kind(t) for t in set(map(type, listed))}
        if len(kinds) > 1 and not kinds & _MISSING:
            raise DataError(f"{name}: ids of mixed types: {_mixture(listed)}")
        if kinds in ({"int"}, {"str"}):
            try:
                values = np.array(listed, dtype=np.int64 if kinds == {"int"} else np.str_)
            except OverflowError:
                large = max(listed, key=abs)
                raise DataError(f"{name}: integer ids up to 2**63 - 1 are possible, got {large}") from None
        else:
            values = np.empty(len(listed), object)
            values[:] = listed
    if values.ndim != 1:
        raise DataError(f"{name}: expected a vector of ids, got {values.ndim} dimensions")
    if values.dtype.kind in "iu":
        if values.dtype.kind == "u" and values.size and int(values.max()) > np.iinfo(np.int64).max:
            raise DataError(f"{name}: integer ids up to 2**63 - 1 are possible, got {values.max()}")
        return values.astype(np.int64, copy=False)
    if values.dtype.kind == "U":
        if (values == "").any():
            raise DataError(f"{name}: empty id at position {int(np.argmax(values == ''))}")
        return values
    if values.dtype == object:
        return _objects(values, name)
    if not values.size:
        return values.astype(np.int64)
    hint = "; missing values turn integers into floats: .astype(int) once they are gone" * (values.dtype.kind == "f")
    raise DataError(f"{name}: expected ids that are integers, strings or other hashables, got {values.dtype}{hint}")


def _objects(values: NDArray[Any], name: str) -> NDArray[Any]:
    kinds = {_kind(t) for t in set(map(type, values))}
    if kinds & _MISSING:
        at = next(i for i, v in enumerate(values) if _kind(type(v)) in _MISSING)
        raise DataError(f"{name}: missing id at position {at}")
    if len(kinds) > 1:
        raise DataError(f"{name}: ids of mixed types: {_mixture(values)}")
    if kinds & {"int", "str"}:
        return as_ids(values.tolist(), name)
    if kinds & {"float", "bool"}:
        raise DataError(
            f"{name}: expected ids that are integers, strings or other hashables, got {kinds.pop()} ({values[0]!r})"
        )
    for value in values:
        try:
            hash(value)
        except TypeError:
            raise DataError(f"{name}: expected hashable ids, got {type(value).__name__}") from None
    return values


def _kind(t: type) -> str:
    for kind, types in (("bool", (bool, np.bool_)), ("int", (int, np.integer)), ("str", (str,))):
        if issubclass(t, types):
            return kind
    return "float" if issubclass(t, (float, np.floating)) else t.__name__


def _mixture(values: Any) -> str:
    """Which types, with an example each; a pair that differs by type alone if there is one."""
    examples: dict[str, Any] = {}
    written: dict[str, Any] = {}
    for value in values:
        examples.setdefault(_kind(type(value)), value)
        other = written.setdefault(str(value), value)
        if _kind(type(other)) != _kind(type(value)):
            return f"{other!r} and {value!r} differ by their type alone"
    return " and ".join(f"{kind} (as {example!r})" for kind, example in examples.items())


def factorize(ids: NDArray[Any]) -> Coded:
    """Distinct ids and the position of each row's among them; `ids` as `as_ids` returns them."""
    if ids.dtype == object:
        places: dict[Any, int] = {}
        codes = np.fromiter((places.setdefault(v, len(places)) for v in ids), np.int32, len(ids))
        distinct = np.empty(len(places), object)
        distinct[:] = list(places)
        return Coded(distinct, codes)
    if ids.dtype.kind == "i" and (coded := encode([ids])) is not None:
        return coded
    distinct, inverse = np.unique(ids, return_inverse=True)
    return Coded(distinct, inverse.astype(np.int32).reshape(-1))


def encode(pieces: list[NDArray[Any]]) -> Coded | None:
    """The same for integers in pieces, by a table over their range; None where that is much larger than their number.

    Equivalent to ``np.unique(np.concatenate(pieces), return_inverse=True)``, at a twentieth of the time.
    """
    n = sum(map(len, pieces))
    codes = np.empty(n, np.int32)
    same = [np.ascontiguousarray(one, np.int32 if one.dtype == np.int32 else np.int64) for one in pieces]
    ids = core_for(codes).encode_integers(same, 4 * n + 1000, codes, resolve_threads(0))
    return None if ids is None else Coded(ids, codes)


class IdMap:
    """Both ways between ids and positions.

    Parameters
    ----------
    ids : ndarray, (n,)
        Distinct, as `as_ids` returns them.
    what : str
        "user" or "item", for messages.
    """

    def __init__(self, ids: NDArray[Any], what: str) -> None:
        self.ids, self.what = ids, what
        self._places: dict[Any, int] | None = None
        self._order: NDArray[np.intp] | None = None
        if ids.dtype == object:
            self._places = {one: place for place, one in enumerate(ids)}
            distinct = len(self._places)
        elif (ids[1:] > ids[:-1]).all():
            distinct = len(ids)
        else:
            self._order = np.argsort(ids, kind="stable")
            distinct = len(np.unique(ids))
        if distinct < len(ids):
            raise DataError(f"{what}_ids: expected distinct ids, got {len(ids) - distinct} twice or more")

    def __len__(self) -> int:
        return len(self.ids)

    def find(self, ids: NDArray[Any]) -> NDArray[np.int64]:
        """Positions of ids, -1 for those that are not there."""
        if self._places is not None:
            if ids.dtype != object:
                return np.full(len(ids), -1, np.int64)
            return np.fromiter((self._places.get(one, -1) for one in ids), np.int64, len(ids))
        if ids.dtype.kind != self.ids.dtype.kind or not len(self.ids):
            return np.full(len(ids), -1, np.int64)
        places = np.minimum(np.searchsorted(self.ids, ids, sorter=self._order), len(self.ids) - 1)
        if self._order is not None:
            places = self._order[places]
        return np.where(self.ids[places] == ids, places, -1).astype(np.int64)

    def positions(self, ids: Any, name: str | None = None) -> NDArray[np.int64]:
        """Positions of ids, one or several; UnknownIdError names those that are not there."""
        single = not np.iterable(ids) or isinstance(ids, (str, bytes)) or (isinstance(ids, tuple) and ids in self)
        given = as_ids([ids] if single else ids, name or f"{self.what}s")
        found = self.find(given)
        if (found < 0).any():
            raise UnknownIdError(self._unknown(given[found < 0]))
        return found

    def __contains__(self, one: Any) -> bool:
        try:
            return bool(self.find(as_ids([one], self.what))[0] >= 0)
        except DataError:
            return False

    def _unknown(self, missing: NDArray[Any]) -> str:
        one = missing[0].item() if isinstance(missing[0], np.generic) else missing[0]
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        text = f"unknown {self.what} {one!r}{more}"
        if missing.dtype.kind != self.ids.dtype.kind and len(self.ids):
            names = {"i": "integers", "U": "strings"}
            kind = names.get(self.ids.dtype.kind, f"of type {type(self.ids[0]).__name__}")
            twin = _as_int(one) if self.ids.dtype.kind == "i" else str(one) if self.ids.dtype.kind == "U" else None
            if twin is not None and twin in self:
                return f"{text}: the ids are {kind}, and there is {twin!r}, which differs by its type alone"
            return f"{text}: the ids are {kind}, got {_kind(type(one))}"
        return text + self.suggestion(one)

    def suggestion(self, one: Any) -> str:
        """A clause that names ids close to `one`, or nothing."""
        if self.ids.dtype.kind == "i":
            variants = _slips(str(one))
            near = np.array(sorted(variants), dtype=np.int64)
            near = near[self.find(near) >= 0][:3]
            return f"; did you mean {' or '.join(map(str, near))}?" if len(near) else ""
        if self.ids.dtype.kind != "U":
            return ""
        known = self.ids
        if len(known) > _ENOUGH_TO_COMPARE:
            known = known[np.char.startswith(np.char.lower(known), str(one)[:2].lower())][:_ENOUGH_TO_COMPARE]
        return did_you_mean(str(one), known.tolist())


def _as_int(one: Any) -> int | None:
    try:
        return int(one)
    except (TypeError, ValueError):
        return None


def _slips(digits: str) -> set[int]:
    """Numbers that one slip of the finger away from `digits` would write."""
    sign, digits = ("-", digits[1:]) if digits.startswith("-") else ("", digits)
    found = set()
    for i in range(len(digits) + 1):
        head, tail = digits[:i], digits[i:]
        found |= {head + d + tail for d in _DIGITS} | ({head + d + tail[1:] for d in _DIGITS} if tail else set())
        found |= {head + tail[1:]} | ({head + tail[1] + tail[0] + tail[2:]} if len(tail) > 1 else set())
    return {int(sign + one) for one in found - {""} if len(one) < 19}


def classify_text(ids: NDArray[Any], where: str, id_type: str) -> NDArray[Any]:
    """Distinct ids from a text file: integers where all are written as integers, strings where none is.

    Digits with zeros in front (article numbers, post codes) are strings, or the zeros would be lost. A mixture of both
    is refused, as it is most often a slip, unless `id_type` is "str" or all have one length.
    """
    if id_type == "str":
        return ids
    text: list[str] = ids.tolist()
    digits = [t for t in text if t.isascii() and t.removeprefix("-").isdigit()]
    others = sorted(set(text) - set(digits))
    if others and id_type == "int":
        raise DataError(f"{where}: {others[0]!r} is no integer")
    if not digits:
        return ids
    if not others:
        if len(set(map(int, digits))) < len(digits):
            raise DataError(
                f"{where}: {_same_number(digits)} differ by their writing alone; id_type='str' keeps them apart"
            )
        padded = any(len(str(int(t))) < len(t) for t in digits)
        try:
            return ids if padded and id_type == "auto" else ids.astype(np.int64)
        except OverflowError:
            return ids  # longer than 64 bits: they stay text
    if len(text[0]) >= _ARTICLE_NUMBER and len({len(t) for t in text}) == 1:
        return ids
    for one in others:  # 7 beside 7.0: a table that went through floating point on its way
        if one.removesuffix(".0") in digits[:1000]:
            raise DataError(f"{where}: ids of mixed types: {one.removesuffix('.0')} and {one} differ by type alone")
    raise DataError(
        f"{where}: ids of mixed types: {digits[0]} is an integer, {others[0]!r} is not; id_type='str' reads all as text"
    )


def _same_number(text: list[str]) -> str:
    seen: dict[int, str] = {}
    for one in text:
        other = seen.setdefault(int(one), one)
        if other is not one:
            return f"{other!r} and {one!r}"
    raise AssertionError
