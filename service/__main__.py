"""Entry point of ``potoo`` and ``python -m service``."""

from __future__ import annotations

from service.cli import app


def main() -> None:
    """Run the ``potoo`` command."""
    app(prog_name="potoo")


if __name__ == "__main__":
    main()
