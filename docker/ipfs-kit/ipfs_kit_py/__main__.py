"""`python -m ipfs_kit_py`: serves /health and /api/healthchecker on port 8000 until TERM, then ends with 0."""

import asyncio
import json
import os
import signal
import tempfile

import networkx
from cryptography.fernet import Fernet
from hypercorn.asyncio import serve
from hypercorn.config import Config

KEY = Fernet(Fernet.generate_key())


def state():
    """What a request finds out: a native extension works, and the data directory can be written."""
    sealed = KEY.encrypt(b"ipfs")
    with tempfile.TemporaryFile(dir=os.environ.get("IPFS_KIT_DATA_DIR", "/app/data")) as file:
        file.write(sealed)
    graph = networkx.path_graph(3)
    return {"status": "healthy", "decrypted": KEY.decrypt(sealed).decode(), "edges": graph.number_of_edges()}


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    known = scope["path"] in ("/", "/health", "/api/healthchecker")
    status, answer = (200, state()) if known else (404, {"detail": "Not Found"})
    body = json.dumps(answer).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def main():
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    config = Config()
    config.bind = [f"0.0.0.0:{os.environ.get('PORT', '8000')}"]
    await serve(app, config, shutdown_trigger=stop.wait)


asyncio.run(main())
