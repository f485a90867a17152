"""Call the code of plugins: an unexpected exception becomes an error that names the plugin."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pvzoo.errors import PluginError, PvzooError, error_message, lacks_memory, nearest
from pvzoo.plugins.installed import OWN, installed


def plugin_of(owner: Any) -> str | None:
    """The distribution that contains a class, or the class of an object.

    Returns:
        The name of the distribution; "pvzoo" for pvzoo's own classes; None if no installed plugin
        has the package of the class.
    """
    kind = owner if isinstance(owner, type) else type(owner)
    package = kind.__module__.partition(".")[0]
    if package == OWN:
        return OWN
    points = ((p.entry_point.module.partition(".")[0], p.dist) for p in installed().parts)
    return next((dist for top, dist in points if top == package), None)


@contextmanager
def calling(owner: Any, part: str, *, lets: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn an unexpected exception of a plugin's code into a `PluginError`, within a ``with``.

    Not changed are errors of pvzoo, errors of missing memory, and all exceptions of pvzoo's own
    classes.

    Args:
        owner: The class or object of the plugin whose code is called.
        part: The part of it that is called, such as "postprocess".
        lets: Other exceptions that stay as they are.

    Raises:
        PluginError: The message names the part, the class and the plugin; the exception is the
            cause.
    """
    try:
        yield
    except PvzooError:
        raise
    except lets:
        raise
    except Exception as error:
        if plugin_of(owner) == OWN or lacks_memory(error):
            raise
        text = f"{type(error).__name__}: {error_message(error)}" if str(error) else repr(error)
        raise fault_of(owner, part, f"failed ({text})") from error


def named_by(owner: Any, part: str, *, lets: tuple[type[Exception], ...] = ()) -> Any:
    """Import the class that a class attribute names, such as `Adapter.network`.

    Args:
        owner: The class or object with the attribute.
        part: The attribute, with a value such as "package.module:Class".
        lets: Exceptions of the import that stay as they are.

    Raises:
        PluginError: The value has another form, or the module has nothing with this name.
    """
    path = getattr(owner, part)
    module, _, name = path.partition(":") if isinstance(path, str) else ("", "", "")
    if not (module and name):
        raise fault_of(owner, part, f"is {path!r}; the form is 'package.module:Class'")
    with calling(owner, part, lets=lets):
        found = importlib.import_module(module)
    if not hasattr(found, name):
        meant = nearest(name, vars(found), count=1)
        raise fault_of(owner, part, f"is {path!r}, but {module} has no {name}. {meant}".strip(" ."))
    return getattr(found, name)


def fault_of(owner: Any, part: str, fault: str) -> PluginError:
    """The error that a part of a plugin is wrong.

    Args:
        owner: The class or object of the plugin.
        part: The part of it, such as "loss".
        fault: What is wrong, such as "returned a dict, not a Detections".
    """
    dist = plugin_of(owner)
    return PluginError(
        f"The {named_part(owner, part)} {fault}.",
        f"Report this to the author of {dist or 'this code'}; --debug on the command line shows "
        "where it happened.",
    )


def named_part(owner: Any, part: str) -> str:
    """A part of a plugin in words, such as "loss of MyNetwork (plugin 'my-zoo')"."""
    kind = owner if isinstance(owner, type) else type(owner)
    dist = plugin_of(owner)
    return f"{part} of {kind.__name__}" + (f" (plugin {dist!r})" if dist else "")
