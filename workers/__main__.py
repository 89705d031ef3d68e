"""`python -m workers`: one worker process."""

from service.processes import gc_tuning

with gc_tuning.paused():
    from workers.process import main

main()
