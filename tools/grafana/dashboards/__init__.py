"""The dashboards, in the order in which they are looked at."""

from __future__ import annotations

from deploy.grafana.dashboards.access import ACCESS
from deploy.grafana.dashboards.capacity import CAPACITY
from deploy.grafana.dashboards.inference import INFERENCE
from deploy.grafana.dashboards.models import MODELS
from deploy.grafana.dashboards.overview import OVERVIEW

DASHBOARDS = (OVERVIEW, INFERENCE, MODELS, ACCESS, CAPACITY)
