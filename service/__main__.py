"""Entry point of ``potoo`` and ``python -m service``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the ``potoo`` command."""
    if sys.argv[1:2] == ["serve"]:  # without the other commands: see ``service.cli``
        from service.cli.main_command import new_app
        from service.cli.serve import serve

        app = new_app()
        app.command("serve")(serve)
    else:
        from service.cli.commands import app
    app(prog_name="potoo")


if __name__ == "__main__":
    main()
