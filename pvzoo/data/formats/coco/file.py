"""Read a COCO JSON: its images and annotations, and the folders its images may be in."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any
from warnings import warn

from pvzoo.data.files import listing, quoted, read_json, side, split_in, whole
from pvzoo.data.formats.coco.layout import LABEL_FOLDERS, image_folders, root_of
from pvzoo.data.paths import Area, Located
from pvzoo.data.store import write
from pvzoo.errors import DataError, PvzooWarning

LAYOUT = "See cocodataset.org/#format-data for the layout, or export it again."
"""The hint for a file with a wrong layout."""


@dataclass(frozen=True)
class ImageNames:
    """The images of a COCO JSON, in the order of the file.

    Attributes:
        names: Their file names.
        sized: Whether the file has their width and height.
        maps: The names of their PNGs of panoptic labels; None for an image without one.
    """

    names: list[str]
    sized: list[bool]
    maps: list[str | None]


class Labels:
    """One COCO JSON, parsed on first use, and the folders its images may be in."""

    def __init__(self, file: Path, split: str | None) -> None:
        self.file = file
        self._split = split or split_in(file.stem)
        self._content: dict[str, list[Any]] | None = None

    @property
    def content(self) -> dict[str, list[Any]]:
        """The lists of images, annotations and categories; their entries are JSON objects."""
        if self._content is None:
            self._content = self._parse()
        return self._content

    def _parse(self) -> dict[str, list[Any]]:
        content = read_json(self.file)
        if not isinstance(content, dict):
            raise DataError(f"{self.file} is a JSON list, not a COCO object.", LAYOUT)
        parsed: dict[str, list[Any]] = {}
        if "categories" not in content and "caption" in str(content.get("annotations"))[:10000]:
            raise DataError(
                f"{self.file} has captions, which pvzoo has no task for.",
                "Point at the file with the instances.",
            )
        for key in ("images", "annotations", "categories"):
            entries = content.get(key)
            if not isinstance(entries, list):
                raise DataError(f"{self.file} has no list of {key}.", LAYOUT)
            for index, entry in enumerate(entries):
                if not isinstance(entry, dict):
                    raise DataError(f"{self.file}: {key}[{index}] is not a JSON object.", LAYOUT)
            parsed[key] = entries
        for image in parsed["images"]:
            if not image.get("file_name") and isinstance(image.get("coco_url"), str):  # LVIS
                image["file_name"] = "/".join(image["coco_url"].split("/")[-2:])
        return parsed

    @cached_property
    def summary(self) -> dict[str, Any]:
        """What reading any split needs; each state of the file is parsed once for it.

        The ``categories``, the ids of classes in use (``used``), whether there are ``masks``, and
        the name of the first annotation with ``keypoints``, or None.
        """
        from datasets import Features, Value

        kept = write(
            lambda: [{"summary": json.dumps(self._summarise())}],
            Features({"summary": Value("string")}),
            [self.file],
            "coco summary",
            str(self.file),  # the summary contains its name
        )
        summary: dict[str, Any] = json.loads(kept[0]["summary"])
        return summary

    def _summarise(self) -> dict[str, Any]:
        annotations = self.content["annotations"]
        infos = [i for a in annotations if isinstance(i := a.get("segments_info"), list)]
        things = chain(annotations, (s for info in infos for s in info if isinstance(s, dict)))
        posed = (self.where(index) for index, a in enumerate(annotations) if a.get("keypoints"))
        return {
            "categories": self.content["categories"],
            "used": sorted({whole(thing.get("category_id")) for thing in things} - {None}),
            "masks": any(a.get("segmentation") for a in annotations),
            "keypoints": next(posed, None),
        }

    @property
    def root(self) -> Path:
        """The folder of the JSON, or the one above if the JSON is in ``annotations``."""
        return root_of(self.file)

    def image_folders(self) -> list[Path]:
        """The folders that images may be in, the likeliest first."""
        return image_folders(self.file, self._split)

    @cached_property
    def image_names(self) -> ImageNames:
        """The names of the images in the file; each state of the file is parsed once for them."""
        from datasets import Features, Value

        kept = write(
            self._name_images,
            Features({"name": Value("string"), "sized": Value("bool"), "map": Value("string")}),
            [self.file],
            "coco images",
            str(self.file),
        )
        return ImageNames(*(kept.data[name].to_pylist() for name in ("name", "sized", "map")))

    def _name_images(self) -> Iterator[dict[str, Any]]:
        maps: dict[Any, Any] = {}
        for annotation in self.content["annotations"]:
            if isinstance(image := annotation.get("image_id"), (int, float, str)):
                maps.setdefault(image, annotation.get("file_name"))
        for _, image in self.images():
            name, sizes = maps.get(image["id"]), (image.get("width"), image.get("height"))
            yield {
                "name": image["file_name"],
                "sized": all(map(side, sizes)),
                "map": name if isinstance(name, str) and name else None,
            }

    def locate(self, names: Sequence[str], places: Sequence[Path], area: Area) -> list[Located]:
        """Find files that the JSON names; see `Area.locate`."""
        apart = (p for p in places if p.name.lower() not in LABEL_FOLDERS)
        expected = next(apart, places[0])
        return area.locate(names, places, str(self.file), expected=expected)

    def images(self) -> list[tuple[int, dict[str, Any]]]:
        """The images with their ids; if any id is not a whole number, the ids are 0, 1, 2, ...

        Raises:
            DataError: An image has no id or file name, or two images have the same id.
        """
        seen = set()
        for index, image in enumerate(self.content["images"]):
            if not isinstance(image.get("file_name"), str) or not image["file_name"]:
                raise DataError(f"{self.file}: images[{index}] has no file_name.", LAYOUT)
            if not isinstance(image.get("id"), (int, float, str)):
                raise DataError(f"{self.file}: images[{index}] has no id.", LAYOUT)
            if image["id"] in seen:
                raise DataError(
                    f"{self.file}: two images have the id {quoted(image['id'])}, so it is not "
                    "clear which one an annotation belongs to.",
                    "Give each image an id of its own.",
                )
            seen.add(image["id"])
        images = self.content["images"]
        kept = [n for image in images if (n := whole(image["id"])) is not None]
        ids = kept if len(kept) == len(images) else range(len(images))
        return list(zip(ids, images, strict=True))

    def by_image(self) -> dict[Any, list[dict[str, Any]]]:
        """The annotations by the ids of their images.

        Annotations of images that are not in the file are left out with a warning: a part of a
        dataset often comes with all annotations.

        Raises:
            DataError: An annotation has no image_id, or no annotation belongs to an image of the
                file.
        """
        known = {image["id"] for _, image in self.images()}
        found = defaultdict(list)
        lost = []
        for index, annotation in enumerate(self.content["annotations"]):
            image = annotation.get("image_id")
            if not isinstance(image, (int, float, str)):
                raise DataError(f"{self.where(index)} has no image_id.", LAYOUT)
            if image in known:
                found[image].append(annotation)
            else:
                lost.append(image)
        if lost and known and not found:
            raise DataError(
                f"{self.file}: no annotation belongs to an image of the file; the first annotation "
                f"has image_id {quoted(lost[0])}, and the first image has id "
                f"{quoted(self.content['images'][0]['id'])}.",
                "Export it again, with the same ids in both lists.",
            )
        if lost:
            names = listing(map(repr, dict.fromkeys(lost)), 3)
            warn(
                f"{self.file}: {len(lost)} annotations are left out, because their images are not "
                f"in the file (image_id {names}).",
                PvzooWarning,
                stacklevel=2,
            )
        return found

    def where(self, index: int) -> str:
        """The name of an annotation in messages."""
        name = self.content["annotations"][index].get("id")
        return f"{self.file}: annotations[{index}]" + (f" (id {name})" if name is not None else "")
