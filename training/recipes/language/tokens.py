"""Tokens of the language identifier: a byte-level BPE, and texts as bags of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import ByteLevel as Trimmed
from tokenizers.trainers import BpeTrainer

from training.recipes.language import recipe
from training.recipes.language.data import normal

Tokens = list[NDArray[np.int64]]
"""The numbers of the tokens of each text."""


def train(texts: Sequence[str], file: Path) -> Tokenizer:
    """Find the tokens of texts, byte by byte (Sennrich et al., 2016), and write them."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=True)
    tokenizer.post_processor = Trimmed(trim_offsets=True)
    trainer = BpeTrainer(
        vocab_size=recipe.VOCABULARY,
        min_frequency=recipe.LEAST_FREQUENCY,
        initial_alphabet=sorted(ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([normal(text) for text in texts], trainer)
    tokenizer.save(str(file), pretty=False)
    return tokenizer


def tokens_of(tokenizer: Tokenizer, texts: Sequence[str]) -> Tokens:
    """Return the tokens of texts as the server gives them to the graph."""
    encodings = tokenizer.encode_batch([normal(text) for text in texts])
    return [np.array(one.ids[: recipe.MAX_TOKENS], np.int64) for one in encodings]


def padded(tokens: Tokens) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return ids and mask [N, L], L the most tokens of a text."""
    longest = max(map(len, tokens))
    ids_NL, mask_NL = np.zeros((2, len(tokens), longest), np.int64)
    for number, ids in enumerate(tokens):
        ids_NL[number, : len(ids)] = ids
        mask_NL[number, : len(ids)] = 1
    return ids_NL, mask_NL


def bags(tokens: Tokens, size: int) -> sparse.csr_matrix:
    """Return counts of tokens [N, V], divided by the root of the number of tokens."""
    lengths_N = np.array([len(ids) for ids in tokens])
    row_starts = np.concatenate(([0], np.cumsum(lengths_N)))
    values = np.repeat(1 / np.sqrt(np.maximum(lengths_N, 1)), lengths_N).astype(np.float32)
    columns = np.concatenate([*tokens, np.zeros(0, np.int64)])
    return sparse.csr_matrix((values, columns, row_starts), (len(tokens), size))
