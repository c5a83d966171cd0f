"""Errors that a user can mend."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line: what is wrong, why, and the remedy. The command line
    prints it without a traceback and exits with code 2.
    """


class NonFiniteError(RuntimeError):
    """A loss or a gradient became NaN or infinite and could not be recovered."""


class DeviceMemoryError(RuntimeError):
    """The device's memory ran out; the message ends with the flag to try next."""
