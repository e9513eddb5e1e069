"""Room to record: what is left, at which rate, and when to stop or not to begin."""

from pathlib import Path

import pytest

from raccall.errors import StorageError
from raccall.recorder.space import (
    START_BYTES,
    Disk,
    Keep,
    Limit,
    Limits,
    Space,
    check_space,
    check_space_to_render,
    free_bytes,
    megabytes,
)
from raccall.units import NANOS_PER_SECOND, Nanos

START = Nanos(10**12)
MB = 1_000_000


class FakeDisk:
    """A disk of 1 GB to which a recording is written, and maybe something else."""

    def __init__(self, limits: Limits) -> None:
        self.written = self.others = 0
        self.space = Space(
            Path("call"),
            limits,
            START,
            free=lambda _: 1000 * MB - self.written - self.others,
            written=lambda _: self.written,
        )

    def after(self, seconds: float, rate: int, speakers: int = 2) -> Disk:
        """The last of one look a second."""
        for second in range(int(seconds) + 1):
            self.written = second * rate
            disk = self.space.look(Nanos(START + second * NANOS_PER_SECOND), speakers=speakers, packets=second * 50)
        return disk


def test_what_is_left_counts_what_rendering_needs_and_others_keep() -> None:
    disk = FakeDisk(Limits(min_free_bytes=100 * MB)).after(600, 20_000)
    assert disk.written_bytes == 12 * MB
    assert 12 * MB + 600 * 9_000 <= disk.render_bytes <= 20 * MB
    assert disk.left_bytes == 1000 * MB - 12 * MB - 100 * MB - disk.render_bytes
    assert (disk.limit, disk.full) == (Limit.DISK, False)


def test_the_time_left_is_at_the_present_rate_once_it_is_known() -> None:
    fake = FakeDisk(Limits(min_free_bytes=0, keep=Keep.JOURNAL))
    assert fake.after(9, 10_000).left_s is None
    disk = fake.after(100, 10_000)
    assert disk.render_bytes == 0
    assert disk.left_s == pytest.approx(disk.left_bytes / 10_000)


def test_the_rate_follows_the_last_five_minutes() -> None:
    fake = FakeDisk(Limits(min_free_bytes=0, keep=Keep.JOURNAL))
    fake.after(1000, 100_000)
    for second in range(1001, 1402):
        fake.written += 1_000
        disk = fake.space.look(Nanos(START + second * NANOS_PER_SECOND), speakers=1, packets=1)
    assert disk.left_s == pytest.approx(disk.left_bytes / 1_000, rel=0.01)


def test_the_size_limit_holds_for_the_whole_folder() -> None:
    fake = FakeDisk(Limits(max_bytes=50 * MB, min_free_bytes=0))
    disk = fake.after(600, 30_000)
    assert (disk.limit, disk.full) == (Limit.SIZE, False)
    assert disk.left_bytes == 50 * MB - disk.written_bytes - disk.render_bytes
    assert fake.after(720, 30_000).full


def test_a_disk_that_others_fill_is_full_too() -> None:
    fake = FakeDisk(Limits(max_bytes=900 * MB, min_free_bytes=100 * MB))
    fake.others = 890 * MB
    disk = fake.after(60, 100_000)
    assert (disk.limit, disk.full) == (Limit.DISK, True)


def test_too_little_room_to_begin_is_one_sentence() -> None:
    limits = Limits(min_free_bytes=500 * MB)
    check_space(Path("call"), limits, free=lambda _: 500 * MB + START_BYTES)
    with pytest.raises(StorageError, match="Only 519 MB are free for call, and 500 MB of them") as caught:
        check_space(Path("call"), limits, free=lambda _: 500 * MB + START_BYTES - MB)
    assert caught.value.code == "disk_nearly_full"


def test_too_little_room_to_render_is_one_sentence() -> None:
    check_space_to_render(Path("call"), 5 * MB, free=lambda _: 5 * MB)
    with pytest.raises(StorageError, match=r"need about 5.0 MB, and 4.0 MB are free") as caught:
        check_space_to_render(Path("call"), 5 * MB, free=lambda _: 4 * MB)
    assert caught.value.code == "no_space_to_render"


def test_the_true_disk_is_asked(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "not" / "yet") > 0
    (tmp_path / "journal.pcapng").write_bytes(bytes(1000))
    (tmp_path / "events.jsonl").write_bytes(bytes(20))
    assert Space(tmp_path, Limits(), START).look(START, speakers=0, packets=0).written_bytes == 1020


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0.0 MB"), (1_500_000, "1.5 MB"), (98 * MB, "98 MB"), (2 * 10**9, "2.0 GB")]
)
def test_sizes_are_for_people(count: int, text: str) -> None:
    assert megabytes(count) == text
