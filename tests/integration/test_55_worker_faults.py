"""A few of the faults of `./dev faults workers`, in short: every event takes effect once or is a dead letter byte by byte,
and in order in its lane."""
import argparse

import pytest

from faults.workers.faults_answers import Spoiled
from faults.workers.faults_crashes import CleanLeave
from faults.workers.faults_poison import Poison
from faults.workers.stage import Stage


@pytest.mark.parametrize("fault", [Poison, Spoiled, CleanLeave], ids=lambda fault: fault.name)
def test_nothing_is_missing_repeated_altered_or_out_of_order(fault, kafka, tmp_path):
    short = type(fault.__name__, (fault,), {"p99_limit": None})  # the machine is busy: no latencies here
    played = short(argparse.Namespace(quick=True))
    stage = Stage(kafka, tmp_path / fault.name, played)
    try:
        played.run(stage)
        assert stage.problems == []
    finally:
        stage.end()
        played.clean_up(stage)
