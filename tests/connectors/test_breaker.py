from connectors.log.breaker import Breaker


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def failing(*times_s: float) -> tuple[Breaker, Clock]:
    clock = Clock()
    breaker = Breaker(clock)
    for clock.now_s in times_s:
        breaker.fail()
    return breaker, clock


def test_it_opens_at_the_third_failure_within_ten_seconds():
    assert not failing(0, 1)[0].is_open
    assert failing(0, 1, 10)[0].is_open
    assert failing(0, 5, 9, 14)[0].is_open


def test_failures_farther_apart_leave_it_closed():
    assert not failing(0, 5, 10.1, 15.2)[0].is_open


def test_a_success_between_begins_the_count_anew():
    breaker, _ = failing(0, 1)
    breaker.succeed()
    breaker.fail()
    breaker.fail()
    assert not breaker.is_open


def test_it_stays_open_however_long_until_something_succeeds():
    breaker, clock = failing(0, 1, 2)
    clock.now_s = 1_000.0
    assert breaker.is_open
    breaker.succeed()
    assert not breaker.is_open
