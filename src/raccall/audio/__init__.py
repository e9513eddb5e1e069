"""Sound files (`raccall.audio.files`) and sound devices (`raccall.audio.devices`); a file needs no device library."""
