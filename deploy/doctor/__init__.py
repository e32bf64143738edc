"""`make doctor URL=…`: examine a deployed stack from outside, through its public address.

It looks whether the stack can be reached as providers reach it, whether what it stands on answers
and is set, and whether the clocks agree; then it sends a rehearsal the whole way that costs
nothing and goes to nobody: a job for a shop of its own, reported on by signed webhooks (rightly,
twice, too late, forged), seen to by the sweep and by bulk work, and removed again.

It is an administrator's program: it needs a key of theirs and the secret that workers sign with,
from the environment only, and prints neither.
"""
