"""Remember the exports that this user made or verified on this machine.

The certificate of any other export is only a claim of the person who made it.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from pvzoo.export import manifest


def remember(folder: Path) -> None:
    """Record that an export was compared with its original here; do nothing if that fails."""
    mark = _mark(folder)
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    except OSError:  # the home folder is read-only
        return


def is_known(folder: Path) -> bool:
    """Whether an export was compared with its original here, and has not changed since.

    An export that an installed package ships is trusted like the package itself.
    """
    return _mark(folder).exists() or _is_shipped(folder.resolve())


def _is_shipped(folder: Path) -> bool:
    package = folder.parents[1]
    if folder.parent.name != "exports" or not package.name.isidentifier():
        return False
    spec = find_spec(package.name)
    return spec is not None and bool(spec.origin) and Path(str(spec.origin)).parent == package


def _mark(folder: Path) -> Path:
    """The path of an empty file whose name is the digest of the manifest.

    The manifest in turn holds the digests of the export's files.
    """
    from platformdirs import user_state_path

    digest = hashlib.sha256((folder / manifest.NAME).read_bytes()).hexdigest()
    return user_state_path("pvzoo") / "verified" / digest
