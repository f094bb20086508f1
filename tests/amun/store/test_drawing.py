"""What is drawn to stand for all: by a fixed seed, people whole."""

import numpy as np

from amun.store.drawing import draw_people


def test_people_are_drawn_whole_until_there_are_enough() -> None:
    owners = np.array([f"p{number % 40}" for number in range(100)])  # 20 people with 3 samples, 20 with 2
    rows = draw_people(owners, 30)
    drawn = set(owners[rows])
    assert rows.tolist() == [row for row in range(100) if owners[row] in drawn]
    assert 30 <= len(rows) <= 32
    assert draw_people(owners, 30).tolist() == rows.tolist()
    assert draw_people(owners, 30, seed=1).tolist() != rows.tolist()
    assert draw_people(owners, 0).tolist() == []
    assert draw_people(owners, 1000).tolist() == list(range(100))
    assert draw_people(owners[:0], 5).tolist() == []
