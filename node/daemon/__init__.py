"""The long-running node: start, cycles on their schedule, drain, stop.

`supervisor` starts receiving, then the tasks that run `cycles` when their `schedule` says so, and
stops them in the other order. `dicom-node run` imports `supervisor.serve`.
"""
