"""What `pvzoo.data.check` looks for: each rule by name, and how it is fixed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Rule:
    """One kind of mistake.

    Attributes:
        name: What people call it; two rules of one name differ in how sure or how bad it is.
        severity: "error" for what spoils training or figures, "warning" for what may be meant.
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
    "no-images", "error", "A split has no images.", "Check where its images are, or leave it out."
)
UNREADABLE = Rule(
    "unreadable-image",
    "error",
    "Images, or maps of their labels, cannot be read.",
    "Fetch them again; or leave them out.",
    fixable=True,
)
DUPLICATE = Rule(
    "duplicate-image",
    "warning",
    "Images have the pixels and the labels of an earlier one of their split.",
    "Leave out all but the first.",
    fixable=True,
)
CONTRADICTION = Rule(
    "duplicate-image",
    "warning",
    "Images have the pixels of an earlier one of their split, but other labels.",
    "Decide which labels are right and leave out the other image.",
)
LEAK = Rule(
    "image-in-two-splits",
    "error",
    "Images of the split that is measured on are in the one that is learnt from.",
    "Leave them out of the one that is learnt from.",
    fixable=True,
)
SHARED = Rule(
    "image-in-two-splits",
    "error",
    "Images are in two splits, and the names of the splits do not say where they belong.",
    "Leave them out of one.",
)

# --- sizes and orientation ------------------------------------------------------------------------

SIZE = Rule(
    "size-mismatch",
    "error",
    "Images have another size than their labels say.",
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
    "The EXIF of images turns them upright, and nothing says whether their labels were drawn on "
    "the upright image, as is taken to be so, or on the stored pixels.",
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
    "The boxes of a split have the centre instead of left and top.",
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
    "Many boxes of a split are impossible as left, top, width, height; as what they were meant "
    "cannot be told.",
    "Find out, and convert them to left, top, width, height in pixels.",
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
    "The boxes of a split are shares of the image's width and height instead of pixels; "
    "whether they are corners, centres or left, top, width, height cannot be told.",
    "Find out which, and convert them to left, top, width, height in pixels.",
)
FRACTION = Rule(
    "normalised-boxes",
    "error",
    "Boxes lie within the first pixel of their image: their numbers are shares of its width and "
    "height instead of pixels.",
    "Multiply by the width and height of the image, or draw the boxes anew.",
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
    "Draw the boxes anew.",
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
    "Boxes are at most one pixel wide or high, as by a slip of the mouse.",
    "Look at them on a contact sheet; draw them anew, or leave the objects out.",
)
OUTSIDE = Rule(
    "box-out-of-frame",
    "error",
    "Boxes lie wholly outside of their image.",
    "Leave the objects out.",
    fixable=True,
)
OVERHANG = Rule(
    "box-out-of-frame",
    "warning",
    "Boxes reach out of their image by more than a pixel.",
    "Cut them off at its edges.",
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
    "Export the labels anew.",
)

# --- classes --------------------------------------------------------------------------------------

OFF_BY_ONE = Rule(
    "class-ids-off-by-one",
    "error",
    "Class ids are one too high or too low throughout: the names of the classes count from 0.",
    "Shift them by one.",
    fixable=True,
)
OUT_OF_RANGE = Rule(
    "class-id-out-of-range",
    "error",
    "Class ids stand for no class.",
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
    "Nothing can be learnt from it or measured on it; it is good for predictions only.",
)
NOTHING = Rule(
    "no-objects",
    "error",
    "There is not one object in all of the data.",
    "Check where the labels are, and whether their names match those of the images.",
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
    "Divide the images into splits anew so that each class is in each; a class cannot be learnt "
    "or measured where it does not occur.",
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
    "Masks or maps have another size than their image.",
    "Export them at the size of the image; scale maps without interpolation.",
)
MASK_BROKEN = Rule(
    "broken-mask",
    "error",
    "Masks have a run-length code that is damaged or missing.",
    "Export them anew.",
)
MASK_EMPTY = Rule(
    "empty-mask",
    "warning",
    "Masks have no pixel, as that of a polygon of less than three points.",
    "Draw them anew, or leave the objects out.",
)
MASK_ELSEWHERE = Rule(
    "box-does-not-fit-mask",
    "warning",
    "Objects have a box that is not that of their mask (they overlap by less than half).",
    "Look at them on a contact sheet; if the masks are right, take the boxes from them.",
)
VALUES = Rule(
    "mask-values",
    "error",
    "Maps have values that stand for no class or segment.",
    "List what they stand for. If 0 is void and the classes count from 1, read the data with "
    "reduce_labels.",
)
UNNAMED = Rule(
    "unnamed-classes",
    "warning",
    "Nothing names the classes of the maps, which are called by their values. If one of them is "
    "void, such as 0, it is trained and measured as a class all the same.",
    'Name the values in a classes.txt or id2label.json, that of void "void"; read the data with '
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
    "Segments have another area than pixels in the map, as where one was painted over another.",
    "Look at them on a contact sheet; draw the maps anew, or correct the areas.",
)
SEGMENT_EMPTY = Rule(
    "empty-segment",
    "warning",
    "Segments are listed that have no pixel in the map.",
    "Leave them out of the list, or draw them.",
)
SEGMENT_ZERO = Rule(
    "segment-zero",
    "error",
    "Segments have the id 0, which is void.",
    "Number segments from 1.",
)
