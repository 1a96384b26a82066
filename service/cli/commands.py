"""``potoo`` with all subcommands. Each imports its code when it runs, so ``--help`` is quick."""

from __future__ import annotations

from service.cli import calibrate, certs, classify, config, serve
from service.cli.cameras.app import app as cameras_app
from service.cli.identity import clients, keys, token, users
from service.cli.main_command import new_app
from service.cli.models.app import app as models_app
from service.cli.scalers.app import app as scalers_app
from service.cli.sensors.app import app as sensors_app
from service.cli.teach import teach
from service.cli.teach.datasets.app import app as datasets_app
from service.cli.training.app import app as sites_app
from service.cli.upkeep import doctor, restore
from service.cli.upkeep.app import app as backup_app

app = new_app()
app.command("serve")(serve.serve)
app.command("classify")(classify.classify)
app.add_typer(users.app, name="users")
app.add_typer(clients.app, name="clients")
app.add_typer(keys.app, name="keys")
app.command("certs")(certs.certs)
app.command("token")(token.token)
app.add_typer(models_app, name="models")
app.add_typer(scalers_app, name="scalers")
app.add_typer(cameras_app, name="cameras")
app.add_typer(sensors_app, name="sensors")
app.add_typer(datasets_app, name="datasets")
app.command("teach")(teach.teach)
app.add_typer(sites_app, name="sites")
app.command("calibrate")(calibrate.calibrate)
app.add_typer(backup_app, name="backup")
app.command("restore")(restore.restore)
app.command("doctor")(doctor.doctor)
app.command("config")(config.config)
