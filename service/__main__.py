"""``potoo`` and ``python -m service``."""

from __future__ import annotations

from service.cli import app


def main() -> None:
    """The console command."""
    app(prog_name="potoo")


if __name__ == "__main__":
    main()
