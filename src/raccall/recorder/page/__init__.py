"""index.html: a recording to look at and listen to, one file that needs no network and no server."""

from raccall.recorder.page.page import PAGE, write_page
from raccall.recorder.page.peaks import Peaks

__all__ = ["PAGE", "Peaks", "write_page"]
