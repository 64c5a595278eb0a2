"""State and what surrounds it as typed JSON: what is loaded is equal to what was written, in value and in exact type.

Each channel is classed once by its declared type. Types made only of what the tag table knows (``db.tags``) are written as
they are: loading needs no declaration. Types with models, dataclasses, enums or named tuples in them are taken apart by
pydantic, and put together again by validating against the declared type; that this gives the same value is checked before
anything is written. What would come back different is a SerializationError that names the path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from graphflow.core.reducers import Delta, Op
from graphflow.core.state import Channel, StateSchema, Values
from graphflow.core.stored import Range
from graphflow.db.jsontext import dumps
from graphflow.db.packing import JSON_OWN, Packer
from graphflow.db.tags import Media, Refused
from graphflow.db.typed import is_exact, take_apart, validated
from graphflow.errors import SerializationError

# --- JSON text of anything ---------------------------------------------------------------------------------------------------


def write(pack: Callable[[Packer], Any], where: str, media: Media | None = None) -> str:
    """The JSON text of what ``pack`` makes with a Packer. Raises SerializationError with the path below ``where``."""
    try:
        try:
            return dumps(pack(Packer(media)))
        except ValueError:
            return dumps(pack(Packer(media, careful=True)))
    except Refused as refused:
        raise refused.error(where) from None
    except RecursionError:
        raise SerializationError(f"{where} is nested too deeply to be stored (or contains itself)", path=where) from None
    except ValueError as error:
        raise SerializationError(f"{where} cannot be stored: {error}", path=where) from error


def write_value(value: Any, where: str, media: Media | None = None) -> str:
    """The JSON text of one value without a declared type."""

    def pack(packer: Packer) -> Any:
        try:
            return packer.pack(value)
        except Refused as refused:
            raise refused.outside_fields() from None

    return write(pack, where, media)


# --- channels ----------------------------------------------------------------------------------------------------------


class ChannelCodec:
    """How one channel's values, and what nodes write to it, become JSON."""

    __slots__ = ("channel", "exact", "exact_update")

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.exact = channel.kind in ("messages", "keys") or is_exact(channel.type)
        self.exact_update = channel.kind in ("messages", "keys") or is_exact(channel.update_type)

    def pack(self, value: Any, packer: Packer) -> Any:
        """A whole value, or the items or entries of an update to it."""
        if not self.exact:
            return take_apart(self.channel.type, value, packer)
        try:
            return packer.pack(value)
        except Refused as refused:
            raise self._blamed(refused) from None

    def _blamed(self, refused: Refused) -> Refused:
        """What is under a key of a channel of keys has no type of its own."""
        return refused.outside_fields() if self.channel.kind == "keys" else refused

    def unpack(self, value: Any, where: str) -> Any:
        """What ``pack`` packed, from parsed JSON."""
        return value if self.exact else validated(self.channel.type, value, where)

    def pack_write(self, value: Any, packer: Packer) -> tuple[Any, bool]:
        """What a node wrote; whether it was taken apart by the channel's type because the reducer declares none for it."""
        if not self.exact_update:
            return take_apart(self.channel.update_type, value, packer), False
        try:
            return packer.pack(value), False
        except Refused as refused:
            if self.exact:
                raise self._blamed(refused) from None
            packer.forget()
            return take_apart(self.channel.type, value, packer), True

    def unpack_write(self, value: Any, as_value: bool, where: str) -> Any:
        """What ``pack_write`` packed."""
        if as_value:
            return validated(self.channel.type, value, where)
        return value if self.exact_update else validated(self.channel.update_type, value, where)


@lru_cache(maxsize=256)
def channel_codecs(schema: StateSchema) -> dict[str, ChannelCodec]:
    """The codecs of a state's stored channels."""
    return {name: ChannelCodec(channel) for name, channel in schema.channels.items() if channel.stored}


@lru_cache(maxsize=256)
def exact_channels(schema: StateSchema) -> frozenset[str]:
    """The stored channels whose values are what JSON, with its tags, says: nothing is checked when they are loaded."""
    return frozenset(name for name, codec in channel_codecs(schema).items() if codec.exact)


_AS_IS: Final = frozenset({"unset", "log"})


def _is_plain(delta: Delta, codecs: dict[str, ChannelCodec]) -> bool:
    """Whether packing would leave a delta as it is: most are a few numbers or texts, or ranges of the message log."""
    for name, op in delta.items():
        exact = codecs[name].exact
        for verb, value in op.items():
            if verb not in _AS_IS and not (exact and type(value) in JSON_OWN):
                return False
    return True


def encode_delta(schema: StateSchema, delta: Delta, media: Media | None = None, values: Values | None = None) -> str:
    """The JSON text of a delta. With ``values``, the state after it, errors say where in the whole list an appended item is."""
    codecs = channel_codecs(schema)
    if _is_plain(delta, codecs):
        try:
            return dumps(delta)
        except ValueError:
            pass  # a number that JSON does not have: it is found below

    def pack(packer: Packer) -> dict[str, Op]:
        packed: dict[str, Op] = {}
        name, verb = "", ""
        try:
            for name, op in delta.items():
                codec = codecs[name]
                new: Op = {}
                for verb, value in op.items():
                    new[verb] = value if verb in _AS_IS else codec.pack(value, packer)
                packed[name] = new
        except Refused as refused:
            if verb == "append" and values is not None and refused.parts:
                refused.parts[-1] += len(values[name]) - len(delta[name]["append"])
            refused.parts.append(name)
            raise
        return packed

    return write(pack, "state", media)


def encode_snapshot(
    schema: StateSchema,
    values: Values,
    ranges: Mapping[str, list[Range]],
    foreign: Mapping[str, list[Op]],
    media: Media | None = None,
) -> str:
    """The JSON text of the whole state: every stored channel, and those the code no longer knows, as they were stored."""
    codecs = channel_codecs(schema)

    def pack(packer: Packer) -> dict[str, Op]:
        packed: dict[str, Op] = {}
        for name, codec in codecs.items():
            if codec.channel.lifetime == "logged":
                if ranges.get(name):
                    packed[name] = {"log": ranges[name]}
            elif name in values:
                try:
                    packed[name] = {"set": codec.pack(values[name], packer)}
                except Refused as refused:
                    refused.parts.append(name)
                    raise
        for name, ops in foreign.items():
            packed[name] = {"ops": packer.pack(ops)}
        return packed

    return write(pack, "state", media)
