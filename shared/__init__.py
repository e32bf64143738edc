"""The product. Nothing of it is imported before its dataclasses know where their code is."""

from shared import dataclass_code

dataclass_code.use_compiled(dataclass_code.FILE)
