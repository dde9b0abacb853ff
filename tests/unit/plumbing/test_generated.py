"""Generated files, the config schema, and the list of dependencies agree with the code."""

import tomllib

import jsonschema
import yaml

from ltdm.cli import reference
from ltdm.tools import docs_config, docs_methods, docs_scores
from tests.conftest import ROOT


def test_the_schema_and_the_generated_pages_are_up_to_date():
    assert (ROOT / docs_config.SCHEMA).read_text() == docs_config.schema_text(), "run `make docs`"
    page = (ROOT / docs_config.PAGE).read_text()
    assert page == docs_config.page_text(page), "run `make docs`"
    for page in (docs_methods, docs_scores, reference):
        assert (ROOT / page.PAGE).read_text() == page.text(), "run `make docs`"


def test_the_schema_accepts_the_shipped_configs_and_refuses_faults():
    check = jsonschema.Draft202012Validator(docs_config.schema())
    jsonschema.Draft202012Validator.check_schema(docs_config.schema())
    for file in (ROOT / "config").rglob("*.yaml"):
        config = yaml.safe_load(file.read_text())
        assert not list(check.iter_errors(config)), file
        config.setdefault("runs", {})["ddpm"] = {"train": {"updats": 3}}
        assert list(check.iter_errors(config)), "an unknown key"
        config["runs"]["ddpm"] = {"train": {"lr": "small"}}
        assert list(check.iter_errors(config)), "text for a number"


def test_the_conda_environment_lists_the_project_s_dependencies():
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    listed = yaml.safe_load((ROOT / "workflow/envs/ltdm.yaml").read_text())["dependencies"]
    assert listed[-1]["pip"] == dependencies
