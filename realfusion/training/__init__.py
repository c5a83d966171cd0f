"""The optimisation: schedules, objective, one step, the loop, checkpoints."""
