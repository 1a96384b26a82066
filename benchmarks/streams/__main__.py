"""``make bench-streams``: one WebSocket beside HTTP, the age of frames, cameras, sensors.

All measurements take turns in rounds, so that the machine's drift affects them alike.
"""

from __future__ import annotations

import argparse
import json
import sys

from benchmarks.streams.cameras import measure_cameras
from benchmarks.streams.freshness import Freshness
from benchmarks.streams.sensors.measure import lines, measure_sensors
from benchmarks.streams.throughput import Throughput
from benchmarks.support import load, models, photo, results, subject
from benchmarks.support.measuring import warm_up


def main() -> None:
    """Run the measurements that the command line selects; print and write the results."""
    arguments = _arguments()
    measured = {}
    try:
        for name in arguments.models:
            if why := models.missing(name):
                print(f"({name} is left out: {why})")
                continue
            throughput, freshness = measure(name, arguments.rounds, arguments.seconds)
            measured[name] = {"all": throughput.as_json(), "latest": freshness.as_json()}
            print(f"{name}\n  {throughput.line()}\n  {freshness.line()}", flush=True)
    except load.NoLoadGenerator as error:
        sys.exit(str(error))
    cameras = None
    if arguments.cameras:
        cameras = measure_cameras(cameras=arguments.cameras, minutes=arguments.minutes)
        print(json.dumps(cameras, indent=1), flush=True)
    sensors = None
    if arguments.sensors:
        sensors = measure_sensors(sensors=arguments.sensors, seconds=arguments.seconds)
        print("\n".join(lines(sensors)), flush=True)
    if arguments.write:
        facts = {
            "seconds": arguments.seconds,
            "models": measured,
            "cameras": cameras,
            "sensors": sensors,
        }
        print(f"written to {results.write('streams', facts)}")


def measure(name: str, rounds: int, seconds: float) -> tuple[Throughput, Freshness]:
    """Start the server of one model and measure it."""
    throughput, freshness = Throughput(), Freshness()
    with models.assembled(name) as folder, subject.running(folder) as server:
        warm_up(server, photo.jpeg())
        for number in range(rounds):
            print(f"{name}: round {number + 1} of {rounds}", file=sys.stderr)
            throughput.measure(server, seconds)
            freshness.measure(server, seconds)
    return throughput, freshness


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-streams", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=7, help="of all measurements in turn")
    parser.add_argument(
        "--models",
        nargs="*",
        choices=(*models.ALL, models.SMALL),
        default=(models.SMALL, models.DEFAULT),
    )
    parser.add_argument("--cameras", type=int, default=8, help="watched at once; 0: none")
    parser.add_argument(
        "--minutes", type=float, default=6, help="in which each camera gives an hour's frames"
    )
    parser.add_argument("--sensors", type=int, default=1000, help="sending at once; 0: none")
    parser.add_argument("--no-write", dest="write", action="store_false", help="print only")
    return parser.parse_args()


if __name__ == "__main__":
    main()
