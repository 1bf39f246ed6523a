"""How to read the statistics of checks of topic models."""

from __future__ import annotations

from .verdicts import Advice, Finding, Reading

# Groups of documents by their length.
GROUPS = ("short", "medium", "long")

# Titles of the panels.
FREQUENCY, SPREAD, BURSTS = "word frequency", "documents that hold a word", "bursts of words"
DISTINCT, TOP = "distinct words by length", "most frequent word by length"

# docs/checks.md has the numbers: each helped there.
_MORE_TOPICS = Advice("num_topics", None, "more topics, which explain a part of it")
_FEWER_TOPICS = Advice("num_topics", None, "fewer topics")
_LONGER = Advice("epochs", 30, "longer training (--epochs 30)", at_least=True)
_SMALLER = Advice("topic_concentration", None, "a smaller topic_concentration (--set)")
_LARGER = Advice("topic_concentration", None, "a larger topic_concentration (--set)")

_DISTINCT = Reading(
    DISTINCT,
    0.02,
    False,
    Finding(
        "more distinct words",
        "words of a document repeat more often than topics explain",
        (_LONGER, _MORE_TOPICS),
    ),
    Finding("fewer distinct words", "topics are too narrow", (_FEWER_TOPICS,)),
)
READINGS = {
    "words of the vocabulary that occur": Reading(
        FREQUENCY,
        0.05,
        True,
        Finding("more words of the vocabulary", "rare words get too much probability", (_SMALLER,)),
        Finding(
            "fewer words of the vocabulary", "rare words get too little probability", (_LARGER,)
        ),
    ),
    "entropy of words (nats)": Reading(
        FREQUENCY,
        0.05,
        False,
        Finding(
            "more even word frequencies", "frequent words get too little probability", (_SMALLER,)
        ),
        Finding(
            "less even word frequencies", "frequent words get too much probability", (_LARGER,)
        ),
    ),
    "variance / mean of a word's count, mean over tokens": Reading(
        BURSTS,
        0.1,
        True,
        Finding("more bursts of words", "topics are too narrow", (_FEWER_TOPICS,)),
        Finding(
            "fewer bursts of words",
            "a word that occurred once occurs again more often than topics explain, so topic "
            "proportions look more certain than they are",
            (_LONGER, _MORE_TOPICS),
        ),
    ),
    "documents that hold a word, mean over tokens (share)": Reading(
        SPREAD,
        0.1,
        True,
        Finding(
            "more documents for a word",
            "words are concentrated in fewer documents than topics explain",
            (_LONGER, _MORE_TOPICS),
        ),
        Finding("fewer documents for a word", "topics are too narrow", (_FEWER_TOPICS,)),
    ),
    "share of a document's most frequent word, mean": Reading(
        TOP,
        0.1,
        True,
        Finding(
            "a larger share of the most frequent word", "topics are too narrow", (_FEWER_TOPICS,)
        ),
        Finding(
            "a smaller share of the most frequent word",
            "words of a document repeat more often than topics explain",
            (_LONGER, _MORE_TOPICS),
        ),
    ),
    **{f"distinct words / words of {group} documents, mean": _DISTINCT for group in GROUPS},
}
