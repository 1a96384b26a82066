"""``python -m training.recipes.language``: from the guide to a folder that the server loads."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from training.recipes.language import publish
from training.recipes.language.data import read
from training.recipes.language.evaluate import MODEL_FOLDER, TOKENIZER_FILE, parts_of
from training.recipes.language.network import fit
from training.recipes.language.tokens import tokens_of, train


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(
        prog="make language",
        description="Train, calibrate, export and evaluate the language identifier.",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the guide's languages")
    parser.add_argument("--out", type=Path, default=MODEL_FOLDER, help="version folder to write")
    parser.add_argument("--results", type=Path, default=publish.RESULTS, help="folder of numbers")
    arguments = parser.parse_args()
    paragraphs = read(arguments.data)
    _, checked_N, training_N = parts_of(paragraphs)
    known = paragraphs.where(training_N)
    folder: Path = arguments.out
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = train(known.texts, folder / TOKENIZER_FILE)
    tokens = tokens_of(tokenizer, known.texts)
    network = fit(tokens, known.labels_N, tokenizer.get_vocab_size())
    report = publish.publish(
        folder, arguments.results, arguments.data, network, paragraphs.where(checked_N)
    )
    print(json.dumps(asdict(report), indent=2))


if __name__ == "__main__":
    main()
