"""asyncio with two tasks: one posts readings, the other asks for settings. Each has a traffic class of its own."""

import asyncio


async def ask(request):
    reader, writer = await asyncio.open_connection("api.example", 8000)
    writer.write(request)
    await writer.drain()
    while True:
        line = await reader.readline()
        if not line or line == b"\r\n":
            break
    writer.close()
    await writer.wait_closed()


async def post(guard):
    while True:
        with guard.traffic("telemetry"):
            body = b'{"temperature": 21.5}'
            head = b"POST /readings HTTP/1.1\r\nHost: api.example\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
            await ask(head % len(body) + body)
        await asyncio.sleep(600)


async def settings(guard):
    while True:
        with guard.traffic("ota"):
            await ask(b"GET /settings HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n\r\n")
        await asyncio.sleep(3600)


async def main(guard):
    await asyncio.gather(post(guard), settings(guard))
