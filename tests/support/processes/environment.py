"""The environment of programs that tests start."""

from __future__ import annotations

import os

SET_BY_POTOO = "ORT_DISABLE_TELEMETRY"
CI_VARIABLES = {
    "APPVEYOR",
    "BITBUCKET_BUILD_NUMBER",
    "BUILDKITE",
    "CI",
    "CIRCLECI",
    "CODEBUILD_BUILD_ID",
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "JENKINS_URL",
    "TEAMCITY_VERSION",
    "TF_BUILD",
    "TRAVIS",
}
"""Variables that disable telemetry of ONNX Runtime, which tests want to detect."""
DROPPED = {SET_BY_POTOO, *CI_VARIABLES}


def clean_environment(**settings: str) -> dict[str, str]:
    """Return this process's variables without those of Potoo and of CI, plus ``settings``."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("POTOO_") and name not in DROPPED
    }
    return kept | settings
