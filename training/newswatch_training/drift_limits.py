"""The limits of drift."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """How far is too far: a figure has drifted if its distance exceeds its limit and its adjusted p-value is at most `alpha`.

    Attributes:
        rate: difference of the shares of articles that carry a tag.
        scores: Kolmogorov and Smirnov's distance of a tag's probabilities.
        review: difference of the shares of articles with a tag in review.
        words: Jensen and Shannon's divergence of the words beyond what chance makes of samples of this size, bits.
        domain: area under the ROC curve of a classifier that tells new from old, 0.5 for a guess.
        draws: least number of permutations; more are drawn where there are so many figures that theirs could not reach `alpha` else.
    """

    rate: float = 0.05
    scores: float = 0.15
    review: float = 0.10
    words: float = 0.01
    domain: float = 0.75
    alpha: float = 0.05
    draws: int = 999
