from __future__ import annotations

import time

import attrs

from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import MountPoint, Unsupported
from hardening_landlock import Landlock
from hardening_landlock.settings import PLACES, PORTS, LandlockSettings
from hardening_landlock.spec import PLACE, contribute
from hardening_landlock.tighten import tighten
from hardening_rootfs import Rootfs
from tests.plugins.landlock.test_host import NOTHING, NOW, context, settings
from tests.support.texts import composed


def words(chosen: LandlockSettings, *others: object, **values: object) -> list[str] | None:
    made = Fragment("landlock")
    contribute(chosen, context(NOW, *others, **values), made)
    return None if made.helper is None else made.helper.value


def test_what_is_written_is_what_the_root_has_writable_and_the_setting_permits() -> None:
    text = "[rootfs]\ntmpfs = ['/tmp']\nvolumes = ['/srv:/srv:rw', '/opt:/opt:ro']\n"
    rootfs = composed(text, by=[Rootfs()]).settings["rootfs"]

    def written(chosen: LandlockSettings, *points: MountPoint) -> list[str]:
        return [word for word in words(chosen, rootfs, mount_points=points) or () if word.startswith("write=")]

    assert written(settings()) == ["write=/dev", "write=/proc", "write=/srv", "write=/tmp"]
    assert written(settings(write=("/opt", "/srv/data", "/tmp"))) == ["write=/srv/data", "write=/tmp"]
    assert written(settings(write=())) == []
    point = MountPoint("/scratch", True, {"destination": "/scratch", "options": ["rw"]}, ("scratch.files",))
    assert "write=/scratch" in written(settings(), point)
    loose = attrs.evolve(rootfs, read_only=False)
    assert words(settings(), loose) == words(settings())


def test_what_restricts_nothing_is_not_handled() -> None:
    handled = [f"handle={word}" for word in ("write", "truncate", "ioctl", "abstract", "signals")]
    assert words(settings()) == [PLACE, *handled, "write=/", "ioctl=/dev"]
    found = words(settings(read=("/usr",), bind=("80",), connect=(), signals=True))
    assert found is not None
    assert {"handle=read", "read=/usr", "handle=bind", "bind=80", "handle=connect"} <= {*found}
    assert not any(word in ("handle=execute", "handle=signals") or word.startswith("connect=") for word in found)


def test_nothing_stands_before_the_command_where_nothing_can_be_confined() -> None:
    gap = Unsupported("landlock", "none", "none", whole=True)
    assert words(settings(), unsupported=(gap,)) is words(NOTHING) is None
    assert Landlock().mount_points(NOTHING) == ()


def test_a_foreign_configuration_is_confined_to_what_it_may_have_writable() -> None:
    made, rootfs = Fragment("landlock"), composed("", by=[Rootfs()]).settings["rootfs"]
    kind = {"type": "tmpfs", "source": "tmpfs"}
    mounts = [{"destination": "/tmp", **kind}, {"destination": "/run", "options": ["ro"], **kind}]
    document = {"root": {"path": "/"}, "mounts": mounts}
    assert list(tighten(settings(), document, context(NOW, rootfs), made)) == []
    assert made.helper is not None
    assert [word for word in made.helper.value if word.startswith("write=")] == [
        "write=/dev",
        "write=/tmp",
        "write=/var/tmp",
    ]
    assert [key for key, _ in made.items] == ["/mounts"]


def test_many_places_are_read_and_compared_without_a_look_at_each_pair() -> None:
    many = tuple(sorted(f"/srv/{number}" for number in range(30_000)))
    began = time.process_time()
    assert PLACES.smallest([*many, "/srv/7/below", "/srvx"]) == (*many, "/srvx")
    assert PLACES.intersect(("/srv",), many) == many
    assert PLACES.is_no_looser_than(many, many)
    assert not PLACES.is_no_looser_than((*many, "/"), many)
    assert PORTS.smallest(["80", "any"]) == ("any",)
    assert time.process_time() - began < 10
