"""What can go wrong. The text of each error is what the command line would print."""


class Error(Exception):
    """Anything that ppl refuses."""


class ModelError(Error):
    """The model or its data are wrong; the message shows the place, as `ppl check` does."""


class UsageError(Error, ValueError):
    """An argument makes no sense: an unknown method, an option that the method does not have."""


class InferenceError(Error):
    """Inference could not proceed: the log density is not finite anywhere, say."""


class ModelWarning(UserWarning):
    """A lint of the model."""


class FitWarning(UserWarning):
    """The verdict on a fit is not "ok"."""
