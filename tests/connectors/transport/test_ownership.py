"""Who may fold what: also in every order in which a group's decisions and batches can meet."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from connectors.transport.kafka.ownership import Ownership, Stamp, Verdict

PARTITION = 3


def owned() -> Ownership:
    ownership = Ownership()
    epoch = ownership.gain([PARTITION])
    assert ownership.recovered(PARTITION, epoch)
    return ownership


def stamped(ownership: Ownership) -> Stamp:
    stamp = ownership.stamp(PARTITION)
    assert stamp is not None
    return stamp


def test_nothing_is_folded_before_the_partition_has_been_recovered():
    ownership = Ownership()
    assert ownership.stamp(PARTITION) is None
    epoch = ownership.gain([PARTITION])
    assert ownership.stamp(PARTITION) is None
    assert ownership.partitions == {PARTITION}
    ownership.recovered(PARTITION, epoch)
    assert ownership.judge(PARTITION, stamped(ownership)) is Verdict.FOLD


def test_batches_are_folded_in_the_order_in_which_they_were_read():
    ownership = owned()
    for _ in range(3):
        assert ownership.judge(PARTITION, stamped(ownership)) is Verdict.FOLD


def test_a_batch_that_comes_twice_is_dropped():
    ownership = owned()
    stamp = stamped(ownership)
    assert ownership.judge(PARTITION, stamp) is Verdict.FOLD
    assert ownership.judge(PARTITION, stamp) is Verdict.DROP


def test_after_a_lost_batch_the_partition_is_to_be_recovered():
    ownership = owned()
    stamped(ownership)
    later = stamped(ownership)
    assert ownership.judge(PARTITION, later) is Verdict.RECOVER
    epoch, still = ownership.recover_again([PARTITION])
    assert still == {PARTITION}
    assert ownership.judge(PARTITION, later) is Verdict.DROP
    assert ownership.recovered(PARTITION, epoch)
    assert ownership.judge(PARTITION, stamped(ownership)) is Verdict.FOLD


def test_what_was_read_before_a_partition_was_taken_away_is_stale_when_it_is_back():
    ownership = owned()
    old = stamped(ownership)
    ownership.lose([PARTITION])
    assert ownership.judge(PARTITION, old) is Verdict.DROP
    ownership.recovered(PARTITION, ownership.gain([PARTITION]))
    assert ownership.judge(PARTITION, old) is Verdict.DROP
    assert not ownership.holds(PARTITION, old.epoch)


def test_a_recovery_that_was_overtaken_does_not_count():
    ownership = Ownership()
    first = ownership.gain([PARTITION])
    second = ownership.gain([PARTITION])
    assert not ownership.recovered(PARTITION, first)
    assert ownership.stamp(PARTITION) is None
    assert ownership.recovered(PARTITION, second)
    ownership.lose([PARTITION])
    assert not ownership.recovered(PARTITION, second)


def test_only_what_is_still_owned_is_recovered_again():
    ownership = Ownership()
    ownership.gain([1, 2])
    ownership.lose([1])
    assert ownership.recover_again([1, 2])[1] == {2}
    assert ownership.partitions == {2}


def test_partitions_do_not_touch_each_other():
    ownership = Ownership()
    epoch = ownership.gain([1, 2])
    ownership.recovered(1, epoch)
    ownership.recovered(2, epoch)
    stamp = ownership.stamp(1)
    ownership.lose([2])
    assert stamp is not None
    assert ownership.judge(1, stamp) is Verdict.FOLD


class Worker(RuleBasedStateMachine):
    """One partition of a log of numbered batches, a worker that folds it, and a group that takes it
    away, hands it to another worker, and gives it back: every batch is committed once."""

    def __init__(self) -> None:
        super().__init__()
        self.ownership = Ownership()
        self.committed = 0  # batches, by whichever worker
        self.recoveries: list[tuple[int, int]] = []  # (epoch, batches committed when it began)
        self.next = 0  # to be read
        self.on_the_way: list[tuple[int, Stamp]] = []
        self.epoch = 0  # of what has been folded
        self.folded = 0

    @rule()
    def gain(self) -> None:
        self.recoveries.append((self.ownership.gain([PARTITION]), self.committed))

    @rule()
    def lose(self) -> None:
        self.ownership.lose([PARTITION])

    @precondition(lambda self: PARTITION not in self.ownership.partitions)
    @rule(batches=st.integers(1, 3))
    def other_worker_commits(self, batches: int) -> None:
        self.committed += batches

    @precondition(lambda self: self.recoveries)
    @rule(which=st.integers(0, 9))
    def finish_recovery(self, which: int) -> None:
        epoch, committed = self.recoveries.pop(which % len(self.recoveries))
        if self.ownership.recovered(PARTITION, epoch):
            self.next = self.folded = committed
            self.epoch = epoch

    @rule()
    def read(self) -> None:
        stamp = self.ownership.stamp(PARTITION)
        if stamp is not None:
            self.on_the_way.append((self.next, stamp))
        self.next += 1

    @precondition(lambda self: self.on_the_way)
    @rule(which=st.integers(0, 9))
    def lose_a_batch(self, which: int) -> None:
        del self.on_the_way[which % len(self.on_the_way)]

    @precondition(lambda self: self.on_the_way)
    @rule()
    def fold(self) -> None:
        batch, stamp = self.on_the_way.pop(0)
        verdict = self.ownership.judge(PARTITION, stamp)
        if verdict is Verdict.FOLD:
            assert (batch, stamp.epoch) == (self.folded, self.epoch)
            self.folded += 1
        elif verdict is Verdict.RECOVER:
            epoch, still = self.ownership.recover_again([PARTITION])
            assert still
            self.recoveries.append((epoch, self.committed))

    @rule()
    def commit(self) -> None:
        if self.epoch and self.ownership.holds(PARTITION, self.epoch):
            assert self.committed <= self.folded
            self.committed = self.folded

    @invariant()
    def reads_no_further_than_it_owns(self) -> None:
        assert self.ownership.partitions <= {PARTITION}


TestWorker = Worker.TestCase
TestWorker.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
