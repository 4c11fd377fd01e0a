"""In the image `testing`: the requirements can be imported, and the health state can be found out."""

import importlib
import runpy

import pytest

MODULES = """requests httpx aiohttp aiofiles watchdog psutil yaml networkx jsonpatch base58 multiaddr multiformats anyio
hypercorn trio cryptography cffi google.protobuf eth_hash eth_keys toml""".split()


@pytest.mark.parametrize("name", MODULES)
def test_a_required_module_can_be_imported(name):
    importlib.import_module(name)


def test_the_health_state_is_found_out(monkeypatch):
    monkeypatch.setattr("asyncio.run", lambda main: main.close())
    state = runpy.run_module("ipfs_kit_py.__main__")["state"]()
    assert state == {"status": "healthy", "decrypted": "ipfs", "edges": 2}
