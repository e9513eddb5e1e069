"""Files of a recording for other programs."""

from raccall.recorder.export.exporting import Exported, ExportedFile, export
from raccall.recorder.export.formats import Depth, Format
from raccall.recorder.export.projects import Editor
from raccall.recorder.export.texts import SegmentFormat

__all__ = ["Depth", "Editor", "Exported", "ExportedFile", "Format", "SegmentFormat", "export"]
