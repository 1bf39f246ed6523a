"""Corpora as an ``.npz`` of :func:`~exvae.data.corpora.write_corpus`, whose words are mapped."""

from __future__ import annotations

import json
import os
import struct
import zipfile
from pathlib import Path

import numpy as np

from ..corpora import Corpus
from ..errors import DataError
from ..tokenizer import Tokenizer
from .checks import checked_splits, require_distinct


def read_npz(path: Path) -> Corpus:
    """Read a corpus; DataError unless the arrays are there and fit together."""
    with zipfile.ZipFile(path) as archive:
        present = {name[: -len(".npy")] for name in archive.namelist() if name.endswith(".npy")}
        missing = [key for key in ("words", "offsets", "vocabulary") if key not in present]
        if missing:
            raise DataError(
                f"{path}: has no array {' or '.join(missing)}; write the corpus with write_corpus"
            )
        arrays = {"words": _read_array(path, archive, "words", mapped=True)}
        for key in ("offsets", "vocabulary", "names", "splits", "labels", "tokenizer"):
            if key in present:
                arrays[key] = _read_array(path, archive, key)
    words, offsets, vocabulary = arrays["words"], arrays["offsets"], arrays["vocabulary"]
    if any(values.ndim != 1 for values in arrays.values()):
        problem = "every array must have one dimension"
    elif words.dtype.kind not in "iu" or offsets.dtype.kind not in "iu":
        problem = "words and offsets must be integers"
    elif any(arrays[key].dtype.kind != "U" for key in arrays.keys() - {"words", "offsets"}):
        problem = "all arrays but words and offsets must be strings of fixed width"
    elif len(offsets) < 2:
        problem = "there are no documents"
    elif offsets[0] != 0 or offsets[-1] != len(words):
        problem = "offsets must begin with 0 and end with the number of words"
    elif np.any(offsets[1:] < offsets[:-1]):
        first = np.argmax(offsets[1:] < offsets[:-1]) + 1
        problem = f"document {first} ends before it begins"
    elif words.min() < 0 or words.max() >= len(vocabulary):
        problem = f"words must be from 0 to {len(vocabulary) - 1}, positions in the vocabulary"
    elif any(
        len(arrays.get(key, offsets[1:])) != len(offsets) - 1
        for key in ("names", "splits", "labels")
    ):
        problem = "names, splits and labels must be as many as the documents"
    else:
        require_distinct(path, vocabulary)
        if "splits" in arrays:
            arrays["splits"] = checked_splits(path, arrays["splits"], "document")
        arrays["words"] = words if words.dtype == np.int32 else words.astype(np.int32)
        arrays["offsets"] = offsets.astype(np.int64)
        if "tokenizer" in arrays:
            arrays["tokenizer"] = Tokenizer(**json.loads(arrays["tokenizer"][0]))
        return Corpus(**arrays, source=str(path))
    raise DataError(f"{path}: {problem}; write the corpus with write_corpus")


def _read_array(path: Path, archive: zipfile.ZipFile, key: str, mapped: bool = False) -> np.ndarray:
    """Read an array of an `.npz`, or map it from the file if it is stored uncompressed."""
    member = archive.getinfo(f"{key}.npy")
    try:
        if not mapped or member.compress_type != zipfile.ZIP_STORED:
            with archive.open(member) as file:
                return np.lib.format.read_array(file, allow_pickle=False)
        with path.open("rb") as file:
            # A member begins with a header of 30 bytes, the last four of them the lengths of the
            # name and of the extra field that follow.
            file.seek(member.header_offset + 26)
            file.seek(sum(struct.unpack("<HH", file.read(4))), os.SEEK_CUR)
            version = np.lib.format.read_magic(file)
            read_header = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read_header(file)
            if dtype.hasobject or 0 in shape:
                raise ValueError("it is empty or holds objects")
            # Copy on write, because a tensor cannot share memory that is read-only.
            return np.memmap(path, dtype, mode="c", offset=file.tell(), shape=shape)
    except (ValueError, RuntimeError, struct.error) as error:
        raise DataError(
            f"{path}: the array {key} cannot be read ({error}); write the corpus with write_corpus"
        ) from error
