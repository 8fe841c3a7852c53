"""What of the chaos table must hold however slow the machine is, in seconds. No bar that is a time is judged here."""

import os
from pathlib import Path
from typing import Dict

import pytest

import gateway_kill
import killers
import kills
import leaving
import renewal
from stage import ROOT, Stage

STAGE = Stage(Path(os.environ.get("SNAKEPIT_BIN", ROOT / "build" / "snakepit")).resolve().parent, share=0.05)


def values(rows: list) -> Dict[str, object]:
    return rows[0].values


def test_no_call_that_may_be_repeated_fails_for_a_killed_worker() -> None:
    assert values(kills.idempotent(STAGE))["failed"] == {}


def test_no_call_that_may_not_be_repeated_runs_twice_or_is_answered_untruly() -> None:
    row = values(kills.not_idempotent(STAGE))
    assert (row["twice"], row["untrue"]) == (0, 0)
    assert all(name.split()[-1] in "nmy" for name in row["failed"])


def test_calls_that_kill_their_worker_cost_no_other_call_anything() -> None:
    beside, copies = killers.beside(STAGE)
    assert (beside.values["failed"], beside.values["twice"], beside.values["opened"]) == ({}, 0, 0)
    assert copies.values["deaths"] <= copies.values["most"]


def test_nothing_but_calls_that_kill_does_not_kill_workers_without_end() -> None:
    for row in killers.alone(Stage(STAGE.build, share=0.15)):
        assert row.values["deaths"] <= row.values["most"]
        assert row.values["refused"] > 0


def test_recycles_and_reloads_lose_and_refuse_nothing() -> None:
    row = values(renewal.recycles_and_reloads(Stage(STAGE.build, share=0.2)))
    assert row["failed"] == {}
    assert row["recycled"] > 0


def test_queued_calls_whose_clients_left_never_run() -> None:
    _, _, ran = leaving.leave_at_once(STAGE, "thread", "spin", waiting=500, pause=leaving.PAUSE_SECONDS)
    assert ran == 0


@pytest.mark.parametrize("state", [*gateway_kill.EARLY, *gateway_kill.STATES])
def test_a_gateway_killed_in_any_state_leaves_nothing_and_starts_again(state: str) -> None:
    end = gateway_kill.kill_in(STAGE, state)
    assert end["left"] == []
    assert end["clean"]
