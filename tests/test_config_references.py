from __future__ import annotations

from scripts.config_references import named_handler


def test_the_handler_comes_back_itself():
    handler = object()
    assert named_handler(handler) is handler
