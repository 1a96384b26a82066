"""The dashboards, in their order of use."""

from __future__ import annotations

from tools.grafana.dashboards.access import ACCESS
from tools.grafana.dashboards.capacity import CAPACITY
from tools.grafana.dashboards.inference import INFERENCE
from tools.grafana.dashboards.models import MODELS
from tools.grafana.dashboards.overview import OVERVIEW

DASHBOARDS = (OVERVIEW, INFERENCE, MODELS, ACCESS, CAPACITY)
