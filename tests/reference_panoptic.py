"""Panoptic quality, pixel by pixel, from the text of the paper (arXiv:1801.00868, section 4).

Plain sets of pixels and fractions; nothing is shared with `pvzoo.metrics.panoptic_quality`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction


@dataclass
class Segment:
    """The pixels of one class; a crowd is several things that nobody told apart."""

    label: str
    crowd: bool = False
    pixels: set[tuple[int, int]] = field(default_factory=set)


@dataclass
class Tally:
    """Of one class over all images."""

    ious: list[Fraction] = field(default_factory=list)
    false_positives: int = 0
    false_negatives: int = 0

    def quality(self) -> dict[str, float]:
        matches = len(self.ious)
        errors = Fraction(self.false_positives + self.false_negatives, 2)
        sq = sum(self.ious) / matches if matches else Fraction(0)
        rq = Fraction(matches) / (matches + errors)
        return {"pq": float(sum(self.ious) / (matches + errors)), "sq": float(sq), "rq": float(rq)}


def tallies(
    images: list[tuple[list[Segment], list[Segment], set[tuple[int, int]]]],
    *,
    one_crowd: bool = False,
) -> dict[str, Tally]:
    """Of each class that occurs, given (truth, prediction, void pixels) of each image.

    With `one_crowd` the last crowd of a class in an image alone forgives, as in panopticapi.
    """
    result: defaultdict[str, Tally] = defaultdict(Tally)
    for truth, prediction, void in images:
        matched: set[int] = set()
        for guess in prediction:
            # "all pixels labelled as void are removed from the prediction"
            rest = guess.pixels - void
            partner = None
            for number, real in enumerate(truth):
                if real.crowd or real.label != guess.label:
                    continue
                union = rest | real.pixels
                if union and Fraction(len(rest & real.pixels), len(union)) > Fraction(1, 2):
                    assert partner is None, "the paper proves that there is one at most"
                    assert number not in matched
                    partner = number
                    iou = Fraction(len(rest & real.pixels), len(union))
            if partner is not None:
                matched.add(partner)
                result[guess.label].ious.append(iou)
                continue
            # "unmatched segments with a fraction of void pixels over the threshold are removed",
            # and so are those on a crowd of their class
            crowds = [r.pixels for r in truth if r.crowd and r.label == guess.label]
            forgiven = void.union(*(crowds[-1:] if one_crowd else crowds))
            share = Fraction(len(guess.pixels & forgiven), len(guess.pixels))
            if share <= Fraction(1, 2):
                result[guess.label].false_positives += 1
        for number, real in enumerate(truth):
            if not real.crowd and number not in matched:
                result[real.label].false_negatives += 1
    return dict(result)
