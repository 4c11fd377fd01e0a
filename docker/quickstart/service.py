"""The workload of the quick start image: an ASGI service that uses the dependencies the image was verified for.

`python service.py` listens on 8080. On SIGTERM hypercorn finishes the open requests and the program ends with 0.
"""

import asyncio
import json
import signal
from importlib.metadata import version

from cryptography.fernet import Fernet
from hypercorn.asyncio import serve
from hypercorn.config import Config

KEY = Fernet(Fernet.generate_key())


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    sealed = KEY.encrypt(scope["path"].encode())
    body = json.dumps({
        "path": KEY.decrypt(sealed).decode(),
        "sealed": sealed.decode(),
        "cryptography": version("cryptography"),
        "hypercorn": version("hypercorn"),
    }).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def main():
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    config = Config()
    config.bind = ["0.0.0.0:8080"]
    await serve(app, config, shutdown_trigger=stop.wait)


if __name__ == "__main__":
    asyncio.run(main())
