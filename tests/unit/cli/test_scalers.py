"""``potoo scalers``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.models.tiny_model import write_model
from tests.unit.cli.conftest import Potoo, failed

TEXT = "age,fare\n22,7.25\n38,71.28\n,8.05\n35,53.1\n"


@pytest.fixture
def models(data_dir: Path) -> Path:
    write_model(data_dir / "models")
    return data_dir / "models"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    file = tmp_path / "table.csv"
    file.write_text(TEXT)
    return file


def test_fit_list_show_and_apply(potoo: Potoo, models: Path, table: Path, tmp_path: Path) -> None:
    fitted = potoo("scalers", "fit", "passengers", table, "--impute", "median", "--models", models)
    assert fitted.exit_code == 0, fitted.stderr
    assert fitted.stdout == (
        "fitted passengers 1: 2 columns, 4 rows; running servers load it within seconds, unless "
        "another version is promoted\n"
    )
    listed = potoo("scalers", "list", "--models", models).stdout
    assert listed == (
        "passengers\t1\tstandard\tmedian\t2 columns\t4 rows\tScaler of 2 columns, standard.\n"
    )
    shown = json.loads(potoo("scalers", "show", "passengers", "--models", models).stdout)
    assert shown["columns"][0]["fill"] == 35
    assert shown["columns"][0]["offset"] == pytest.approx(95 / 3)
    applied = potoo("scalers", "apply", "passengers", table, "--models", models)
    header, *rows = applied.stdout.splitlines()
    assert header == "age,fare"
    assert rows[2].partition(",")[0] == rows[3].partition(",")[0]
    target = tmp_path / "scaled.csv"
    potoo("scalers", "apply", "passengers", table, "--output", target, "--models", models)
    assert target.read_text() == applied.stdout
    assert "potoo models add" not in (models / ".audit.log").read_text()
    assert "passengers" in (models / ".audit.log").read_text()


def test_a_scaler_is_promoted_and_rolled_back_as_a_model(
    potoo: Potoo, models: Path, table: Path
) -> None:
    for kind in ("standard", "min-max"):
        potoo("scalers", "fit", "passengers", table, "--kind", kind, "--models", models)
    assert potoo("models", "promote", "passengers", "1", "--models", models).exit_code == 0
    assert potoo("scalers", "list", "--models", models).stdout.startswith("passengers\t1\tstandard")
    assert potoo("models", "rollback", "passengers", "--models", models).exit_code == 0
    assert potoo("scalers", "list", "--models", models).stdout.startswith("passengers\t2\tmin-max")
    shown = potoo("scalers", "show", "passengers", "--version", "1", "--models", models)
    assert json.loads(shown.stdout)["versions"] == [1, 2]
    assert potoo("models", "verify", "--models", models).exit_code == 0


def test_several_files_and_many_chunks_are_one_table(
    potoo: Potoo, models: Path, tmp_path: Path
) -> None:
    random = np.random.default_rng(5)
    values = random.normal(1e6, 1, 20_000)
    files = []
    for number, part in enumerate(np.array_split(values, 3)):
        files.append(tmp_path / f"{number}.csv")
        files[-1].write_text("x\n" + "\n".join(map(repr, part.tolist())) + "\n")
    done = potoo("scalers", "fit", "wide", *files, "--models", models)
    assert done.exit_code == 0, done.stderr
    shown = json.loads(potoo("scalers", "show", "wide", "--models", models).stdout)
    (column,) = shown["columns"]
    assert shown["rows"] == 20_000
    assert column["offset"] == pytest.approx(values.mean(), rel=1e-12)
    assert column["scale"] == pytest.approx(values.std(), rel=1e-9)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,b\n1,x\n", (), "Row 1, column 'b': 'x' is no number."),
        ("a,b\n1,\n2,\n", (), "All numbers of column 'b' are NaN"),
        ("a,b\n", (), "There are no rows."),
        ("a;b\n1;2\n", (), "'1;2' is no number"),
    ],
)
def test_tables_that_are_refused(
    potoo: Potoo, models: Path, tmp_path: Path, text: str, options: tuple[str, ...], message: str
) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(text)
    failed(potoo("scalers", "fit", "bad", file, *options, "--models", models), message)
    assert not (models / "bad").exists()


def test_names_that_are_refused(potoo: Potoo, models: Path, table: Path) -> None:
    failed(potoo("scalers", "fit", "colours", table, "--models", models), "is no scaler")
    failed(potoo("scalers", "fit", "a b", table, "--models", models), "cannot be the name")
    failed(potoo("scalers", "show", "absent", "--models", models), "There is no such scaler.")


def test_another_table_is_not_scaled(
    potoo: Potoo, models: Path, table: Path, tmp_path: Path
) -> None:
    potoo("scalers", "fit", "passengers", table, "--models", models)
    other = tmp_path / "other.csv"
    other.write_text("fare,age\n1,2\n")
    failed(
        potoo("scalers", "apply", "passengers", other, "--models", models),
        "Column 1 is 'fare', but the scaler 'passengers' has 'age' there.",
    )
    other.write_text("1,2,3\n")
    failed(potoo("scalers", "apply", "passengers", other, "--models", models), "have 3 columns")


def test_help_says_what_the_options_mean(potoo: Potoo) -> None:
    shown = potoo("scalers", "fit", "--help").stdout
    for text in ("standard", "min-max", "robust", "missing numbers", "Example"):
        assert text in shown
