"""For all tests: what commands remember goes into a folder of this run; what runs in real time gets three tries."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Also of the programs that tests start."""
    folder = str(tmp_path_factory.mktemp("user"))
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("XDG_DATA_HOME", "LOCALAPPDATA"):
            patch.setenv(variable, folder)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A pause of the machine is no fault of ours, and does not come three times at the same place; what we broke does.

    Whatever needed a second try is listed at the end of the run.
    """
    for item in items:
        if item.get_closest_marker("realtime"):
            item.add_marker(pytest.mark.flaky(reruns=2))
