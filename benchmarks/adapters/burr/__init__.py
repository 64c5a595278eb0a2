"""burr: loops that keep nothing."""
