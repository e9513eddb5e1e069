"""From a capture of sealed voice (pcap, pcapng) to a recording's folder: calls that were kept by other means.

capture → datagrams → opener → importing; keys and owners are read from the files that a person gives.
"""

from raccall.recorder.importing.importing import Imported, import_capture
from raccall.recorder.importing.keys import is_key, read_keys
from raccall.recorder.importing.owners import Owner, read_owners
from raccall.recorder.importing.server import Server, parse_server

__all__ = ["Imported", "Owner", "Server", "import_capture", "is_key", "parse_server", "read_keys", "read_owners"]
