"""Reads responses up to a maximum size."""

import asyncio

import httpx

from service.http.compression import can_be_read, is_packed, unpacked


class AnswerRefused(httpx.DecodingError):
    """A response that is not read to its end, or cannot be decompressed."""


async def read_answer(response: httpx.Response, most: int) -> bytes:
    """The body of a response, decompressed, of up to this many bytes.

    Raises AnswerRefused if it is larger, is broken, or has an encoding that was not requested.
    """
    request = response.request
    if not can_be_read(response.headers.get("content-encoding", "")):
        raise AnswerRefused("it is compressed, but not with gzip", request=request)
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > most:
            raise AnswerRefused(f"it has more than {most} bytes", request=request)
    if not is_packed(body):
        return bytes(body)
    try:
        return await asyncio.to_thread(unpacked, bytes(body), most)
    except ValueError as error:
        raise AnswerRefused(str(error), request=request) from error
