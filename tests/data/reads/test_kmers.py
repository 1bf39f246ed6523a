"""Sets of transcripts that share k-mers, against a dictionary of k-mers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from exvae.data.reads.kmers import kmer_sets

from .sequencing import kmer_index, reverse_complement

# Few different bases, so that short k-mers are shared; N is unknown.
SEQUENCES = st.lists(st.text("AACGTN", min_size=1, max_size=40).map(str.encode), min_size=1)


@given(sequences=SEQUENCES, k=st.integers(1, 12))
def test_every_kmer_has_its_transcripts(sequences: list[bytes], k: int) -> None:
    of_positions, sets = kmer_sets(sequences, k)
    index = kmer_index(sequences, k)
    assert len(set(sets)) == len(sets)
    for sequence, positions in zip(sequences, of_positions, strict=True):
        assert len(positions) == max(0, len(sequence) - k + 1)
        for start, number in enumerate(positions):
            expected = index.get(sequence[start : start + k])
            assert (None if number < 0 else frozenset(sets[number])) == expected


def test_long_kmers_of_both_strands() -> None:
    one = b"ACGTTGCAAGGCTTAACCGGATATCGCGTTTACCA"
    other = b"A" + reverse_complement(one) + b"C"
    of_positions, sets = kmer_sets([one, other], 31)
    assert [sets[number] for number in of_positions[0]] == [(0, 1)] * (len(one) - 30)
    assert [sets[number] for number in of_positions[1]] == [
        (1,),
        *[(0, 1)] * (len(one) - 30),
        (1,),
    ]


def test_tails_of_a() -> None:
    body = b"ACGTTGCAAGGC"
    of_positions, _ = kmer_sets([body + b"A" * 10, body + b"A" * 9], 6)
    # What lies in the tail of the first is known from the second, whose tail is too short to go.
    assert (of_positions[0] >= 0).all()
    of_positions, _ = kmer_sets([body + b"A" * 10], 6)
    assert (of_positions[0] >= 0).tolist() == [True] * (len(body) - 5) + [False] * 10
