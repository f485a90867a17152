"""The rules of `pvzoo.data.check`: their names, and how to fix what breaks them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Rule:
    """One kind of mistake.

    Attributes:
        name: The common name of the mistake. Two rules with the same name differ in how certain or
            how bad the mistake is.
        severity: "error" if it spoils training or metrics, "warning" if it may be intended.
        what: What is wrong, as a sentence.
        fix: What to do about it, as a sentence.
        fixable: Whether `pvzoo.data.fix` does it.
    """

    name: str
    severity: Literal["error", "warning"]
    what: str
    fix: str
    fixable: bool = False


# --- images ---------------------------------------------------------------------------------------

NO_IMAGES = Rule(
    "no-images", "error", "A split has no images.", "Find its images, or leave the split out."
)
UNREADABLE = Rule(
    "unreadable-image",
    "error",
    "Images, or maps of their labels, cannot be read.",
    "Download or copy them again, or leave them out.",
    fixable=True,
)
DUPLICATE = Rule(
    "duplicate-image",
    "warning",
    "Images have the same pixels and labels as an earlier image of their split.",
    "Leave out all but the first.",
    fixable=True,
)
CONTRADICTION = Rule(
    "duplicate-image",
    "warning",
    "Images have the same pixels as an earlier image of their split, but other labels.",
    "Decide which labels are right and leave out the other image.",
)
LEAK = Rule(
    "image-in-two-splits",
    "error",
    "Images of an evaluation split are also in the training split.",
    "Leave them out of the training split.",
    fixable=True,
)
SHARED = Rule(
    "image-in-two-splits",
    "error",
    "Images are in two splits, and the names of the splits do not say where they belong.",
    "Leave them out of one of the splits.",
)

# --- sizes and orientation ------------------------------------------------------------------------

SIZE = Rule(
    "size-mismatch",
    "error",
    "The size of images differs from the size in their labels.",
    "If the images were scaled after they were labelled, scale the labels too; else correct the "
    "size in the labels.",
)
ROTATED = Rule(
    "exif-rotated",
    "error",
    "Labels were drawn on the stored pixels of images that their EXIF turns upright.",
    "Turn the labels upright.",
    fixable=True,
)
MAYBE_ROTATED = Rule(
    "exif-rotated",
    "warning",
    "The EXIF of images turns them upright. It is not clear whether their labels were drawn on the "
    "upright image, as pvzoo assumes, or on the stored pixels.",
    "Look at them on a contact sheet.",
)

# --- boxes ----------------------------------------------------------------------------------------

XYXY = Rule(
    "xyxy-as-xywh",
    "error",
    "The boxes of a split are left, top, right, bottom instead of left, top, width, height.",
    "Subtract left from the third number and top from the fourth.",
    fixable=True,
)
XYWH = Rule(
    "xywh-as-xyxy",
    "error",
    "The boxes of a split were left, top, width, height but were read as left, top, right, bottom, "
    "so that left and top were subtracted from width and height.",
    "Add left to the third number and top to the fourth.",
    fixable=True,
)
CXCYWH = Rule(
    "cxcywh-as-xywh",
    "error",
    "The boxes of a split start with the centre instead of left and top.",
    "Subtract half of the width and height from the first two numbers.",
    fixable=True,
)
XYWH_AS_CENTRE = Rule(
    "xywh-as-cxcywh",
    "error",
    "The boxes of a split were left, top, width, height, in shares of the image or in pixels, but "
    "were read as centres in shares, so that half of the width and height was subtracted from left "
    "and top.",
    "Undo that; in YOLO files write the centre, width and height in shares of the image.",
    fixable=True,
)
XYXY_AS_CENTRE = Rule(
    "xyxy-as-cxcywh",
    "error",
    "The boxes of a split were left, top, right, bottom, in shares of the image or in pixels, but "
    "were read as centre, width, height in shares.",
    "Undo that; in YOLO files write the centre, width and height in shares of the image.",
    fixable=True,
)
UNCLEAR = Rule(
    "unclear-boxes",
    "error",
    "Many boxes of a split are impossible as left, top, width, height, and it is not clear what "
    "their numbers mean.",
    "Find out what they mean, and convert them to left, top, width, height in pixels.",
)
NORMALISED = Rule(
    "normalised-boxes",
    "error",
    "The boxes of a split are shares of the image's width and height instead of pixels.",
    "Multiply by the width and height of each image.",
    fixable=True,
)
NORMALISED_UNCLEAR = Rule(
    "normalised-boxes",
    "error",
    "The boxes of a split are shares of the image's width and height instead of pixels. It is not "
    "clear whether they are corners, centres or left, top, width, height.",
    "Find out which, and convert them to left, top, width, height in pixels.",
)
FRACTION = Rule(
    "normalised-boxes",
    "error",
    "Boxes lie within the first pixel of their image: their numbers are shares of its width and "
    "height instead of pixels.",
    "Multiply by the width and height of the image, or draw the boxes again.",
)
TWICE_SCALED = Rule(
    "pixels-as-normalised",
    "error",
    "The boxes of a split were in pixels but were read as shares of the image's width and height, "
    "and multiplied by them.",
    "Divide by the width and height of each image.",
    fixable=True,
)
NOT_FINITE = Rule(
    "box-not-a-number",
    "error",
    "Boxes have a coordinate that is missing, not a number or infinite.",
    "Draw the boxes again.",
)
INVERTED = Rule(
    "inverted-box",
    "error",
    "Boxes have a negative width or height.",
    "Swap left and right, or top and bottom.",
    fixable=True,
)
EMPTY = Rule(
    "empty-box",
    "error",
    "Boxes have no width or no height.",
    "Leave the objects out.",
    fixable=True,
)
TINY = Rule(
    "tiny-box",
    "warning",
    "Boxes are at most one pixel wide or high; they may be slips of the mouse.",
    "Look at them on a contact sheet; draw them again, or leave the objects out.",
)
OUTSIDE = Rule(
    "box-out-of-frame",
    "error",
    "Boxes lie completely outside their image.",
    "Leave the objects out.",
    fixable=True,
)
OVERHANG = Rule(
    "box-out-of-frame",
    "warning",
    "Boxes reach out of their image by more than a pixel.",
    "Cut them off at the edges of the image.",
    fixable=True,
)
REPEATED = Rule(
    "repeated-object",
    "warning",
    "Objects are listed twice in their image, with the same class and the same place.",
    "Leave out all but the first.",
    fixable=True,
)
UNEVEN = Rule(
    "uneven-labels",
    "error",
    "Images have lists of labels of different lengths, such as more boxes than classes.",
    "Export the labels again.",
)

# --- classes --------------------------------------------------------------------------------------

OFF_BY_ONE = Rule(
    "class-ids-off-by-one",
    "error",
    "All class ids are one too high or too low: class ids count from 0.",
    "Shift them by one.",
    fixable=True,
)
OUT_OF_RANGE = Rule(
    "class-id-out-of-range",
    "error",
    "Some class ids do not belong to a class.",
    "Add the missing names to the list of classes, or correct the ids.",
)
NO_LABEL = Rule(
    "missing-label",
    "error",
    "Images have no class.",
    "Give them one, or leave them out.",
)
NO_LABELS_HERE = Rule(
    "missing-label",
    "warning",
    "A split has no labels at all.",
    "Training and evaluation cannot use it; use it for predictions only.",
)
NOTHING = Rule(
    "no-objects",
    "error",
    "There are no objects in the data at all.",
    "Check where the labels are, and whether their file names match those of the images.",
)
NOTHING_HERE = Rule(
    "no-objects",
    "warning",
    "A split has images but no objects.",
    "If they should have objects, check where the labels are.",
)
ABSENT = Rule(
    "class-absent-from-split",
    "warning",
    "Classes that occur in one split do not occur in another.",
    "Divide the images into splits again so that every split has every class. A model cannot learn "
    "a class that the training split lacks, and a split without it cannot measure it.",
)
NEVER = Rule(
    "class-without-examples",
    "warning",
    "Classes do not occur at all.",
    "Remove their names, or check whether their labels were lost.",
)

# --- masks and maps -------------------------------------------------------------------------------

MASK_SIZE = Rule(
    "mask-size",
    "error",
    "The size of masks or maps differs from the size of their image.",
    "Export them at the size of the image; scale maps without interpolation.",
)
MASK_BROKEN = Rule(
    "broken-mask",
    "error",
    "The run-length code of masks is damaged or missing.",
    "Export them again.",
)
MASK_EMPTY = Rule(
    "empty-mask",
    "warning",
    "Masks have no pixels, such as the mask of a polygon with fewer than three points.",
    "Draw them again, or leave the objects out.",
)
MASK_ELSEWHERE = Rule(
    "box-does-not-fit-mask",
    "warning",
    "The box of an object does not fit its mask (the overlap is less than half).",
    "Look at them on a contact sheet; if the masks are right, compute the boxes from them.",
)
VALUES = Rule(
    "mask-values",
    "error",
    "Maps have values without a class or segment.",
    "List the class or segment of each value. If 0 is void and classes count from 1, load with "
    "reduce_labels.",
)
UNNAMED = Rule(
    "unnamed-classes",
    "warning",
    "No file names the classes of the maps, so the values are their names. A value that means "
    "void, such as 0, is then trained and measured as a class.",
    'Name the values in a classes.txt or id2label.json, with "void" for void; load the data with '
    "reduce_labels if 0 is void.",
)
OVERLAP = Rule(
    "overlapping-segments",
    "error",
    "Segments share an id, so that the same pixels belong to both.",
    "Give each pixel to one segment.",
)
PAINTED_OVER = Rule(
    "overlapping-segments",
    "warning",
    "The area of segments differs from their number of pixels in the map; other segments may be "
    "painted over them.",
    "Look at them on a contact sheet; draw the maps again, or correct the areas.",
)
SEGMENT_EMPTY = Rule(
    "empty-segment",
    "warning",
    "The list has segments without pixels in the map.",
    "Leave them out of the list, or draw them.",
)
SEGMENT_ZERO = Rule(
    "segment-zero",
    "error",
    "Segments have the id 0, which is void.",
    "Number segments from 1.",
)
