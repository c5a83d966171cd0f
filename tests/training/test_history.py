"""The curves stay aligned whatever happens."""

import json

from realfusion.training.history import History


def test_columns_stay_as_long_as_the_steps():
    history = History()
    history.append(1, {"image": 0.5, "loss": 1.0})
    history.append(2, {"image": 0.4, "prior": 2.0, "loss": 3.0})
    history.append(3, {"image": 0.3, "loss": 0.5})
    assert history.steps == [1, 2, 3]
    assert history.terms == {
        "image": [0.5, 0.4, 0.3],
        "loss": [1.0, 3.0, 0.5],
        "prior": [None, 2.0, None],
    }
    assert list(history.terms) == ["image", "loss", "prior"], "in order of appearance"


def test_a_recovery_forgets_what_was_undone():
    history = History()
    for step in range(1, 6):
        history.append(step, {"loss": float(step)})
    history.append(3, {}, "back to step 3")
    assert history.steps == [1, 2, 3]
    assert history.messages == [(3, "back to step 3")]
    history.append(4, {"loss": 40.0})
    assert history.terms["loss"] == [1.0, 2.0, 3.0, 40.0]


def test_json_round_trip():
    history = History()
    history.append(1, {"loss": 1.23456789})
    history.append(1, {}, "note")
    again = History.from_dict(json.loads(json.dumps(history.to_dict())))
    assert again == history
