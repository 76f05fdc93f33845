"""Conversations with state, the same with both brokers."""

from generate import Case


def all():
    found = [f for name, f in globals().items() if name.startswith("scenario_")]
    return [Case("flow/" + f.__name__.removeprefix("scenario_").replace("_", "-"), "flow", "", f) for f in found]
