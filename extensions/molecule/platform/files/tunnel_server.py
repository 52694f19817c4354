"""The platform's end of the agents' tunnels: sends each message back with the number of its connection."""

import asyncio
import itertools

import websockets

NUMBERS = itertools.count(1)


async def serve(connection) -> None:
    """Answer one agent."""
    number = next(NUMBERS)
    async for message in connection:
        await connection.send(f"{number} {message}")


async def main() -> None:
    """Wait for agents."""
    async with websockets.serve(serve, "127.0.0.1", 8001):
        await asyncio.Future()


asyncio.run(main())
