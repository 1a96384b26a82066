"""Settings of the language identifier."""

from __future__ import annotations

from typing import Final

NAME, VERSION = "language", 1
LANGUAGES = {
    "ca": ("Catalan", "català"),
    "cs": ("Czech", "čeština"),
    "da": ("Danish", "dansk"),
    "de": ("German", "Deutsch"),
    "el": ("Greek", "ελληνικά"),
    "en": ("English", "English"),
    "es": ("Spanish", "español"),
    "fr": ("French", "français"),
    "id": ("Indonesian", "bahasa Indonesia"),
    "it": ("Italian", "italiano"),
    "ja": ("Japanese", "日本語"),
    "ko": ("Korean", "한국어"),
    "nl": ("Dutch", "Nederlands"),
    "pt": ("Portuguese", "português"),
    "ro": ("Romanian", "română"),
    "ru": ("Russian", "русский"),
    "sv": ("Swedish", "svenska"),
    "vi": ("Vietnamese", "tiếng Việt"),
    "zh_CN": ("Chinese", "中文"),
}
"""Folder of the guide: the label, and the language's own name for itself."""
LABELS = tuple(english for english, _ in LANGUAGES.values())
SEED = 0
FOLDS = 5
"""One fifth of the pages tests, one fifth validates: neither fits weights or tokens."""
LEAST_CHARACTERS = 12
VOCABULARY, LEAST_FREQUENCY = 8000, 3
MAX_TOKENS, MAX_CHARACTERS = 256, 20_000
FORM: Final = "NFKC"
UNITS, DECAY, RATE = 40, 0.05, 0.02
"""Numbers of an embedding, weight decay, step of Adam."""
EPOCHS, BATCH = 14, 512
CROPS = 3
"""Pieces of each paragraph that training sees besides the whole one, each epoch anew."""
SOUP = 0.2
"""Texts of random tokens for each paragraph, whose answer is to be: not sure."""
LENGTHS = (25, 60)
"""Characters of the short texts that validate and test."""
ANSWERED_ACCURACY = 0.995
"""Share of right answers above the abstention threshold (validation)."""
FOREIGN_ABSTAINED = 0.9
"""Share of sentences in other languages that must be below it (first list)."""
DATASET = "Debian installation guide, package installation-guide-amd64 20230508 (GPL-2), paragraphs"
