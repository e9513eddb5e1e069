"""One recording for all tests of this folder, which only read it."""

import pytest
from spoken import Call, make_call


@pytest.fixture(scope="session")
def call(tmp_path_factory: pytest.TempPathFactory) -> Call:
    return make_call(tmp_path_factory.mktemp("export"))
