"""One side of a call: its dialog, what its peer can do, the timers that keep it alive."""
