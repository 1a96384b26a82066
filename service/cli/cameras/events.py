"""``potoo cameras events``."""

from __future__ import annotations

from service.cli.cameras.options import NameArgument, with_cameras
from service.cli.shared.event_lines import FollowOption, LimitOption, print_events
from service.cli.shared.options import ConfigOption, DataDirOption, plain_errors


def events(
    name: NameArgument,
    limit: LimitOption = 20,
    follow: FollowOption = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Print the kept events of a camera, oldest first: time, kind, state, previous state, score."""
    with plain_errors():
        from service.cli.shared.service_settings import account_settings

        with_cameras(
            account_settings(config, data_dir),
            lambda cameras: print_events(
                cameras.events,
                name,
                limit,
                lambda: cameras.administration.get(name),
                follow=follow,
            ),
        )
