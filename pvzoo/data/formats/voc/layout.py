"""Find Pascal VOC's files: the XML, the images and the maps of each split."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from warnings import warn

from pvzoo.data.files import entries, folders, head, is_file, listing, read_text, split_name
from pvzoo.data.paths import Area, Located, is_plain
from pvzoo.errors import PvzooWarning

_SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG", ".bmp", ".webp", ".tif")


@dataclass(frozen=True, eq=False)
class VocSplit:
    """The files of one split.

    Attributes:
        root: The folder of the source.
        split: The split of its lists, or None for all files.
        xmls: The folder of the XML files.
        images: The folder of the images.
    """

    root: Path
    split: str | None
    xmls: Path
    images: Path

    def ids(self, kind: str) -> list[str] | None:
        """The names in the split's list in ``ImageSets/Main`` or ``Segmentation``, or None."""
        file = _lists(self.root, kind).get(self.split) if self.split else None
        if file is None:
            return None
        lines = [line.split() for line in read_text(file).splitlines()]
        return [words[0] for words in lines if words]


def parts_of(path: Path) -> dict[str | None, VocSplit]:
    """The splits of a folder; none if it is not VOC data."""
    if not path.is_dir():
        return {}
    if path.name.lower() in ("annotations", "annotation") and _has_xml(path):
        path = path.parent
    xmls, images = _pair_in(path)
    deeper = [f for f in folders(xmls) if _has_xml(f)]
    if xmls != path and not _has_xml(xmls):
        found = {name: f for f in deeper if (name := split_name(f.name))}
        if found and not map_folder(path, "Class"):  # Annotations/train and JPEGImages/train
            below = {split_name(f.name): f for f in folders(images)}
            return {n: VocSplit(path, None, f, below.get(n, images)) for n, f in found.items()}
        if len(deeper) == 1:
            images = deeper[0] if images == xmls else images
            xmls = deeper[0]
    if _has_xml(xmls) or (map_folder(path, "Class") and images != xmls):
        names = {**_lists(path, "Main"), **_lists(path, "Segmentation")}
        return {name: VocSplit(path, name, xmls, images) for name in names or (None,)}
    pairs = {name: _pair_in(f) for f in folders(path) if (name := split_name(f.name))}
    return {name: VocSplit(path, None, *pair) for name, pair in pairs.items() if _has_xml(pair[0])}


def _pair_in(folder: Path) -> tuple[Path, Path]:
    """The folders of the XML files and of the images in a folder; by default the folder itself."""
    inner = {f.name.lower(): f for f in reversed(folders(folder))}
    xmls = next((inner[n] for n in ("annotations", "annotation") if n in inner), folder)
    images = next((inner[n] for n in ("jpegimages", "images", "image") if n in inner), xmls)
    return xmls, images


def _has_xml(folder: Path) -> bool:
    file = next((f for f in entries(folder) if f.suffix.lower() == ".xml"), None)
    # not CVAT's <annotations>
    return file is not None and re.search(r"<annotation[\s>/]", head(file)) is not None


def map_folder(root: Path, kind: str) -> Path | None:
    """The folder with the maps of a kind, "Class" or "Object", if there is one."""
    folder = root / f"Segmentation{kind}"
    return folder if folder.is_dir() else None


def _lists(root: Path, kind: str) -> dict[str, Path]:
    """The lists of images by split; trainval counts as train if there is no list of its parts."""
    files = [f for f in entries(root / "ImageSets" / kind) if f.suffix == ".txt"]
    found = {split_name(f.stem): f for f in files if split_name(f.stem)}
    if "train" not in found and "validation" not in found:
        both = next((f for f in files if f.stem == "trainval"), None)
        found |= {"train": both} if both else {}
    return {name: found[name] for name in ("train", "validation", "test") if name in found}


def images_of(part: VocSplit, stated: dict[str, str], area: Area) -> dict[str, Located]:
    """The image of each XML file: the one with the same name, else the one of its ``<filename>``.

    A ``<filename>`` is often out of date, because files were renamed.
    """
    own = {name: _own_image(part, name) for name in stated}
    texts = []
    for name, text in stated.items():
        if own[name] and not is_plain(text):  # needed only to warn of another name
            text = re.split(r"[\\/]", text)[-1]
        texts.append(text or f"{name}.jpg")
    by_filename = area.locate(texts, [part.images], f"<filename> of XML files in {part.xmls}")
    found, other = {}, []
    for name, located in zip(stated, by_filename, strict=True):
        path = own[name]
        if path is None:
            found[name] = located
            continue
        if located.found and path.with_suffix(located.path.suffix) == located.path:
            path = located.path  # the same name with another suffix
        found[name] = Located(path, located.name, True)
        if located.found and path != located.path:
            other.append(f"{name}.xml names {stated[name][:100]}")
    if other:
        warn(
            f"{part.xmls}: {len(other)} XML files name another image in <filename> than the one "
            f"with their own name; the image with their own name is used ({listing(other, 1)}).",
            PvzooWarning,
            stacklevel=2,
        )
    return found


def _own_image(part: VocSplit, name: str) -> Path | None:
    """The image with the name of an XML file or map."""
    paths = (part.images / (name + suffix) for suffix in _SUFFIXES)
    return next(filter(is_file, paths), None)


def image_of(part: VocSplit, name: str) -> Path:
    """The image with the name of an XML file or map, or the path where it should be."""
    return _own_image(part, name) or part.images / f"{name}.jpg"
