"""``potoo keys``."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from service.cli.shared.options import ConfigOption, DataDirOption, fail, plain_errors

app = typer.Typer(
    help="List, rotate and retire the keys that sign access tokens.", no_args_is_help=True
)
KidArgument = Annotated[str, typer.Argument(help="Id of the key.", metavar="KID")]


@app.command("list")
def list_keys(data_dir: DataDirOption = None, config: ConfigOption = None) -> None:
    """List keys: id, algorithm, state (signing, next, verifying), creation time."""
    with plain_errors():
        from auth.keys import KeySet
        from service.cli.shared.service_settings import account_settings
        from service.runtime.identity import key_folder

        keys = key_folder(account_settings(config, data_dir)).read()
        if not keys:
            fail("there are no keys yet: the first start creates one")
        current = KeySet(keys, time.time())
        for key in current.by_kid.values():
            is_next = key.made > current.signing.made
            state = "next" if is_next else "verifying"
            if key == current.signing:
                state = "signing"
            made = "-"  # the age of a configured secret is unknown
            if key.made > 0:
                made = datetime.fromtimestamp(key.made, UTC).isoformat(timespec="seconds")
            typer.echo(f"{key.kid}\t{key.algorithm}\t{state}\t{made}")


@app.command()
def rotate(data_dir: DataDirOption = None, config: ConfigOption = None) -> None:
    """Create a key. Running servers publish it at once and sign with it half a minute later.

    Older keys verify tokens until they are retired.
    """
    with plain_errors():
        from auth.keys import ACTIVATION_SECONDS
        from service.cli.shared.service_settings import account_settings
        from service.runtime.identity import key_folder

        folder = key_folder(account_settings(config, data_dir))
        is_first = not folder.read()
        key = folder.add()
        when = "at once" if is_first else f"in {ACTIVATION_SECONDS:.0f} seconds"
        typer.echo(f"{key.kid}\t{key.algorithm}\tsigns {when}")


@app.command()
def retire(
    kid: KidArgument,
    force: Annotated[
        bool,
        typer.Option("--force", help="Retire it even if tokens that it signed are still valid."),
    ] = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Remove a key. Tokens that it signed become invalid within seconds."""
    with plain_errors():
        from auth.keys import ACTIVATION_SECONDS, KeySet
        from service.cli.shared.service_settings import account_settings
        from service.runtime.identity import key_folder

        settings = account_settings(config, data_dir)
        folder, now = key_folder(settings), time.time()
        keys = {key.kid: key for key in folder.read()}
        if kid not in keys:
            fail(f"there is no key '{kid}'")
        current = KeySet(list(keys.values()), now)
        if current.signing.kid == kid:
            fail("this key is signing tokens: run 'rotate' and wait until the next one signs")
        lifetime = settings.auth.access_token_seconds + settings.auth.clock_skew_seconds
        signed_until = current.signing.made + ACTIVATION_SECONDS
        left = signed_until + lifetime - now
        if keys[kid].made < current.signing.made and left > 0 and not force:
            fail(f"tokens that it signed are valid for another {left:.0f} seconds (see --force)")
        folder.remove(keys[kid])
        typer.echo(f"retired {kid}")
