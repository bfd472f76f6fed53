"""What the table ``[landlock]`` says."""

from __future__ import annotations

import posixpath
from abc import abstractmethod
from collections.abc import Iterable, Sequence

from hardening.base.values import frozen
from hardening.mechanism.kinds import Flag, Kind
from hardening.mechanism.schema import scalar
from hardening.profile.source import Node

ALL = ("/",)
ANY = "any"
MOST_PORT = 65535


class Permitted(Kind[tuple[str, ...]]):
    """A set of words, of which some cover others: sorted, without those that another one covers. Two of them have what each
    covers of the other in common, which is exact, for nothing that is covered is taken out again: Landlock has no rule that
    denies."""

    @abstractmethod
    def covering(self, word: str) -> Sequence[str]:
        """The words that permit all that ``word`` does, itself first."""

    @abstractmethod
    def word(self, node: Node) -> str:
        """One word; raises `ProfileError` through the node."""

    def parse(self, node: Node) -> tuple[str, ...]:
        return self.smallest(map(self.word, node.items()))

    def smallest(self, words: Iterable[str]) -> tuple[str, ...]:
        """The same without what others cover."""
        found = set(words)
        return tuple(sorted(word for word in found if found.isdisjoint(self.covering(word)[1:])))

    def is_no_looser_than(self, a: tuple[str, ...], b: tuple[str, ...]) -> bool:
        permitted = set(b)
        return not any(permitted.isdisjoint(self.covering(word)) for word in a)

    def intersect(self, a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...]:
        return self.smallest(
            word for one, two in ((a, set(b)), (b, set(a))) for word in one if not two.isdisjoint(self.covering(word))
        )

    def show(self, value: tuple[str, ...]) -> str:
        return ", ".join(value) or "none"

    def dump(self, value: tuple[str, ...]) -> object:
        return list(value)


@frozen(eq=False)
class Places(Permitted):
    """Places inside, each with all below it."""

    def covering(self, word: str) -> Sequence[str]:
        found = [word]
        while found[-1] != "/":
            found.append(posixpath.dirname(found[-1]))
        return found

    def word(self, node: Node) -> str:
        path = node.string()
        if not path.startswith("/") or "\0" in path:
            raise node.error(f'"{path}" is not an absolute path', hint='name places inside, such as "/srv"')
        return posixpath.normpath("/" + path.lstrip("/"))

    def grammar(self) -> str:
        return "array of absolute paths inside"

    def samples(self) -> Sequence[tuple[str, ...]]:
        return ((), ("/srv/data",), ("/srv",), ("/opt", "/srv/data"), ("/opt", "/srv"), ALL)

    def candidates(self, value: tuple[str, ...]) -> Sequence[tuple[str, ...]]:
        """Each place in turn with the one above it; all, where there is none."""
        return [self.smallest([*value, posixpath.dirname(place)]) for place in value] or (ALL,)


@frozen(eq=False)
class Ports(Permitted):
    """Ports of TCP; `ANY` is each of them."""

    def covering(self, word: str) -> Sequence[str]:
        return (word,) if word == ANY else (word, ANY)

    def parse(self, node: Node) -> tuple[str, ...]:
        return (self.word(node),) if isinstance(node.raw, str) else super().parse(node)

    def word(self, node: Node) -> str:
        if isinstance(node.raw, str):
            if node.raw != ANY:
                raise node.error(f'"{node.raw}" is no port', hint=f'write "{ANY}", or an array of numbers')
            return ANY
        return str(node.integer(0, MOST_PORT))

    def grammar(self) -> str:
        return f'`"{ANY}"`, or array of ports'

    def samples(self) -> Sequence[tuple[str, ...]]:
        return ((), ("80",), ("443",), ("443", "80"), (ANY,))

    def candidates(self, value: tuple[str, ...]) -> Sequence[tuple[str, ...]]:
        return ((ANY,),)

    def dump(self, value: tuple[str, ...]) -> object:
        return ANY if value == (ANY,) else [int(word) for word in value]


PLACES, PORTS = Places(), Ports()
_SECOND = "it is a second line, which not every kernel has; the shipped profiles have it"


@frozen
class LandlockSettings:
    """Composed settings of `landlock`."""

    mounts: bool = scalar(
        Flag(strict=False),
        True,
        "Whether mounts are made and changed, by who has the capabilities for that; if not, files are also written where "
        "the root has that writable, and nowhere else.",
        lenient=_SECOND,
    )
    read: tuple[str, ...] = scalar(
        PLACES,
        ALL,
        "Where files are read and directories listed.",
        lenient="what the root shows is there to be read, the command's own program and libraries among it",
    )
    write: tuple[str, ...] = scalar(
        PLACES,
        ALL,
        "Where files are written, made, moved and removed, of the places that the root has writable.",
        lenient="places in memory and volumes are writable where a layer says so, and nothing else is",
    )
    execute: tuple[str, ...] = scalar(
        PLACES,
        ALL,
        "Where programs are executed; those that lie elsewhere can still be given to an interpreter to read.",
        lenient="the command's own program and its loader have to be",
    )
    ioctl: tuple[str, ...] = scalar(
        PLACES,
        ALL,
        "Where devices, once opened, take ioctl(2) other than the harmless ones.",
        lenient=_SECOND,
    )
    bind: tuple[str, ...] = scalar(
        PORTS,
        (ANY,),
        "TCP ports that are bound by bind(2).",
        lenient="a network of the command's own has nobody else in it",
    )
    connect: tuple[str, ...] = scalar(
        PORTS,
        (ANY,),
        "TCP ports that are connected to by connect(2).",
        lenient="a network of the command's own leads nowhere",
    )
    abstract_sockets: bool = scalar(
        Flag(strict=False),
        True,
        "Whether abstract unix sockets of processes outside are connected to, in a network that is shared with them.",
        lenient=_SECOND,
    )
    signals: bool = scalar(
        Flag(strict=False),
        True,
        "Whether processes outside are sent signals, where they can be seen.",
        lenient=_SECOND,
    )
