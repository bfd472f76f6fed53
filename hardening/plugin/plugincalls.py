"""The one way into the code of a plugin. Every hook, and every method of what a plugin registers, is called through here.

What a plugin is given of JSON and TOML data is frozen. What it answers is looked at before anybody uses it. What it prints
goes to standard error. Whatever it raises becomes one error with its name, distribution and version, the method, and the
line; only the errors of `hardening.errors` that it raises on purpose, and KeyboardInterrupt, stay what they are. Where
secrets are handled, the text of an exception is left out, for it could hold one.

A plugin's object is hidden behind a *face*: an object of the same interface with the attributes that the plugin declared
when it was registered, whose methods lead through `enter`.
"""

from __future__ import annotations

import os
import posix
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import isfunction
from time import monotonic
from types import MappingProxyType, ModuleType
from typing import Any, NoReturn

from hardening.base.guarded import frames
from hardening.base.linux.system import signal
from hardening.base.values import freeze, frozen
from hardening.errors import HardeningError, PluginError
from hardening.plugin.installed import Brought

OWN = "hardening"
_LONGEST = 300
#: How long a plugin is waited for, and where it may wait for people, a network or a whole root.
SECONDS, PATIENT = 60.0, 3600.0


def label(item: Plugin | Brought) -> str:
    """How messages name a plugin, loaded or only announced."""
    origin = f"{item.distribution or 'unknown'} {item.version}".strip()
    return f"plugin {item.name} ({origin})"


def package(item: Plugin | Brought) -> str:
    """What hints name to install, update or remove."""
    return item.distribution or "it"


def fault(item: Plugin | Brought, what: str, hint: str = "", *, origin: object | None = None) -> PluginError:
    """The error for what a plugin, loaded or only announced, does wrong. ``what`` follows its name: `` failed in …``,
    ``: …``. Without a hint it names what helps against a fault of any plugin."""
    own = "report this to the authors of hardening"
    theirs = f"update or remove {package(item)}, or report this to its authors"
    hint = hint or (own if item.distribution == OWN else theirs)
    return PluginError(f"{label(item)}{what}", origin=origin, hint=hint)


@frozen(eq=False)
class Plugin:
    """A loaded plugin: ``name`` is its entry point's, ``distribution`` and ``version`` say where it comes from; both
    are empty where nobody knows."""

    name: str
    module: ModuleType
    distribution: str
    version: str

    def __str__(self) -> str:
        return label(self)


class PluginTimeoutError(BaseException):
    """A plugin takes too long. It is none of `Exception`: who tries again after whatever fails is ended, too."""


class PluginExitError(BaseException):
    """A plugin ends this process, or puts another program in its place, whose exit code would be taken for a verdict."""


class Wrong(Exception):
    """An answer that is none: what was ``found``, and what is ``wanted``."""

    def __init__(self, found: object, wanted: str) -> None:
        super().__init__(found, wanted)
        self.found, self.wanted = found, wanted


#: Looks at an answer and gives it, all of it there; raises `Wrong`. It is given the object whose method was called, None for
#: a hook, and the arguments.
Take = Callable[..., Any]


def enter(
    plugin: Plugin,
    where: str,
    function: Callable[..., Any],
    arguments: Sequence[Any],
    take: Take,
    *,
    of: object = None,
    private: bool = False,
    unasked: bool = False,
    seconds: float | None = None,
) -> Any:
    """Call into a plugin; ``where`` names what is called, ``private`` keeps the text of exceptions back, ``seconds`` is how
    long it is waited for (`SECONDS`). Raises `PluginError`, and the `HardeningError` that the plugin raises on purpose, but
    for what is ``unasked``: where nothing is asked about what somebody has said, any error is about the plugin."""
    given = [freeze(item) for item in arguments]
    try:
        with aside(), staying(), bounded(SECONDS if seconds is None else seconds):
            return take(function(*given), of, *given)
    except HardeningError as error:
        if error.message.startswith("plugin ") if isinstance(error, PluginError) else not unasked:
            raise
        raise fault(plugin, f": {error.message}", error.hint or "", origin=error.origin) from None
    except Wrong as wrong:
        what = f": {where} answers with {type(wrong.found).__name__} where {wrong.wanted} is expected"
        raise fault(plugin, what) from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the plugin's
        what = f" failed in {where}: {describe(error, plugin.module.__name__, private=private)}"
        raise fault(plugin, what) from None


@contextmanager
def aside() -> Iterator[None]:
    """What is printed meanwhile, by children too, goes to standard error: a line of a plugin would spoil an answer that a
    program reads."""
    before = sys.stdout
    if before is sys.stderr:
        yield
        return
    kept = os.dup(1)
    sys.stdout = sys.stderr
    try:
        os.dup2(2, 1)
        yield
    finally:
        sys.stdout = before
        os.dup2(kept, 1)
        os.close(kept)


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Raise `PluginTimeoutError` in what takes longer than this, again and again where it is not listened to (setitimer(2)).
    The beats of a clock are counted and no time is compared: a process that was stopped meanwhile, with its machine or by
    Ctrl-Z, has not taken long. Another thread than the main one has no limit (signal(7))."""
    beat, heard, began = min(1.0, seconds), 0, monotonic()

    def late(number: int, frame: object) -> None:
        nonlocal heard
        heard += 1
        if heard * beat >= seconds:
            raise PluginTimeoutError(f"it takes longer than {seconds:g} seconds")

    try:
        before = signal.signal(signal.SIGALRM, late)
    except ValueError:  # only the main thread may
        yield
        return
    delay, again = signal.setitimer(signal.ITIMER_REAL, beat, beat)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if delay:
            signal.setitimer(signal.ITIMER_REAL, max(delay - (monotonic() - began), 0.001), again)


#: What ends a process without an exception, or puts another program in its place.
_ENDING = ("_exit", "execv", "execve")


@contextmanager
def staying() -> Iterator[None]:
    """Raise `PluginExitError` in what ends this process meanwhile by Python's own means; a child may end as it likes."""
    own, before = os.getpid(), [(module, name, getattr(module, name)) for module in (os, posix) for name in _ENDING]

    def instead(name: str, end: Callable[..., object]) -> Callable[..., object]:
        def ends(*given: Any) -> object:
            if os.getpid() != own:
                return end(*given)
            raise PluginExitError(f"it calls os.{name}")

        return ends

    for module, name, end in before:
        setattr(module, name, instead(name, end))
    try:
        yield
    finally:
        for module, name, end in before:
            setattr(module, name, end)


def describe(error: BaseException, module: str, *, private: bool = False) -> str:
    """An exception in one line: its type, its text unless it is ``private``, and the innermost line in the package of
    ``module``, or else of what is neither of the core nor of Python."""
    text = "" if private else str(error).strip().partition("\n")[0][:_LONGEST]
    lines = [(name.partition(".")[0], f"{file}:{line}") for name, file, line in frames(error)]
    own = [place for name, place in lines if name == module.partition(".")[0]]
    library = (os.path.dirname(os.__file__), "<")
    places = own or [place for name, place in lines if name != OWN and not place.startswith(library)]
    return f"{type(error).__name__}{f': {text}' if text else ''}{f' ({places[-1]})' if places else ''}"


def face(
    interface: type[Any],
    item: Any,
    plugin: Plugin,
    attributes: Mapping[str, Take],
    methods: Mapping[str, Take],
    *,
    plain: Sequence[str] = (),
    own: Sequence[str] = (),
    private: bool = False,
    unasked: Sequence[str] = (),
    limits: Mapping[str, float] = MappingProxyType({}),
) -> Any:
    """An object of ``interface`` that stands for ``item``: its ``attributes`` as they are now, and its methods, called by
    `enter` with the answers that ``methods`` name, but for the ``plain`` ones, which are called directly, the interface's
    ``own``, and what ``item`` has from there and calls nothing; errors of those ``unasked`` are about the plugin. ``limits``
    are the seconds that a method may take, where it is not `SECONDS`. Raises `PluginError` for attributes that are not as
    they should be."""
    kind = type(item).__name__

    def method(name: str, take: Take) -> Callable[..., Any]:
        def asked(*given: Any) -> Any:
            return getattr(item, name)(*given)

        def call(self: object, *arguments: Any) -> Any:
            return enter(
                plugin,
                f"{kind}.{name}",
                asked,
                arguments,
                take,
                of=self,
                private=private,
                unasked=name in unasked,
                seconds=limits.get(name),
            )

        return call

    def direct(name: str) -> Callable[..., Any]:
        return lambda self, *arguments: getattr(item, name)(*arguments)

    def read() -> dict[str, Any]:
        declared = dict.fromkeys(interface.__annotations__, anything) | dict(attributes)
        # A class that says nothing of itself for lists is said to be what its docstring begins with.
        said = {} if hasattr(item, "summary") else {"summary": _first_line(type(item))}
        return {name: take(said[name] if name in said else getattr(item, name)) for name, take in declared.items()}

    public = [name for name, value in vars(interface).items() if isfunction(value) and not name.startswith("_")]
    # A method whose answer nobody looks at would be a way around `enter`: to add one without its form fails at once.
    kept = (*own, *plain, *(name for name in public if _calls_nothing(interface, name, item)))
    body: dict[str, Any] = {name: method(name, methods[name]) for name in public if name not in kept}
    body |= {name: direct(name) for name in plain}
    made: Any = object.__new__(
        type(kind, (interface,), {**body, "__setattr__": _refuse, "__module__": type(item).__module__})
    )
    vars(made).update(enter(plugin, kind, read, (), one(dict), private=private, unasked=True))
    return made


def _calls_nothing(interface: type[Any], name: str, item: Any) -> bool:
    """Whether a method is the interface's and calls nothing, as one that gives ``()``: nothing of a plugin runs there."""
    default = vars(interface)[name]
    is_default = getattr(getattr(item, name, None), "__func__", None) is default
    return is_default and not default.__code__.co_names


def _first_line(kind: type[Any]) -> str:
    """What a class's own docstring says first, as lists have it."""
    line = (kind.__doc__ or "").strip().partition("\n")[0].removesuffix(".")
    return line[:1].lower() + line[1:]


def _refuse(self: object, name: str, value: object) -> NoReturn:
    raise AttributeError(f"{name} is as it was when the plugin was registered")


# --- answers ----------------------------------------------------------------------------------------------------------


def anything(answer: object, *_: object) -> object:
    """For what nobody but the plugin reads."""
    return answer


def nothing(answer: object, *_: object) -> None:
    """For what returns nothing: a generator would never have run, and a value never be used."""
    if answer is not None:
        raise Wrong(answer, "None")


def one(*kinds: type) -> Take:
    """A value of one of some types."""

    def take(answer: object, *_: object) -> object:
        if not isinstance(answer, kinds):
            raise Wrong(answer, _named(kinds))
        return answer

    return take


def items(*kinds: type, texts: tuple[str, ...] = ()) -> Take:
    """A collection of values of some types, whose fields ``texts`` are texts, as a tuple."""

    def take(answer: object, *_: object) -> tuple[Any, ...]:
        if not isinstance(answer, Iterable) or isinstance(answer, str | bytes | Mapping):
            raise Wrong(answer, f"a collection of {_named(kinds)}")
        found = tuple(answer)
        for item in found:
            if not isinstance(item, kinds):
                raise Wrong(item, _named(kinds))
            for name in texts:
                if not isinstance(getattr(item, name), str):
                    raise Wrong(getattr(item, name), f"a text as {name} of {_named(kinds)}")
        return found

    return take


def _named(kinds: Sequence[type]) -> str:
    return " or ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)
