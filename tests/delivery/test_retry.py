import pytest

from app.delivery.retry import JOB_LONGEST_SECONDS, SEND_TRIES, job_delay, send_delay


def test_a_jobs_wait_doubles_up_to_ten_minutes() -> None:
    assert [job_delay(n, 0.5) for n in (1, 2, 3, 4)] == [1, 2, 4, 8]
    assert job_delay(40, 0.5) == JOB_LONGEST_SECONDS
    assert job_delay(10_000, 0.0) == JOB_LONGEST_SECONDS / 2


@pytest.mark.parametrize("draw", [0.0, 0.25, 0.999])
def test_jobs_that_failed_together_come_back_apart(draw: float) -> None:
    assert job_delay(3, draw) == 4 * (0.5 + draw)


def test_a_message_is_tried_five_times() -> None:
    assert [send_delay(n) for n in range(1, SEND_TRIES + 1)] == [1, 4, 15, 60, None]
