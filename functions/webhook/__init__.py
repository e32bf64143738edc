"""Until the webhook is ready (the last line of `app`), Lambda's init looks for no garbage."""

from shared import garbage

garbage.pause()
