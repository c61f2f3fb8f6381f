"""Temporary media. Protocol reference 4.9."""

from typing import NamedTuple

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.responses import Response

from app.simulator.box import base_url
from app.simulator.platform.call import Answer, ApiError, Call, Endpoint


class _Kind(NamedTuple):
    most_bytes: int
    too_big: int
    starts: tuple[tuple[int, bytes, str], ...]
    """Offset, bytes and media type of the forms allowed."""


_PICTURES = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
)
_KINDS = {
    "image": _Kind(10 << 20, 40009, _PICTURES),
    "voice": _Kind(
        2 << 20,
        40010,
        (
            (0, b"#!AMR", "audio/amr"),
            (0, b"ID3", "audio/mpeg"),
            (0, b"\xff\xfb", "audio/mpeg"),
            (0, b"\xff\xf3", "audio/mpeg"),
        ),
    ),
    "video": _Kind(10 << 20, 40011, ((4, b"ftyp", "video/mp4"),)),
    "thumb": _Kind(64 << 10, 40012, _PICTURES[:2]),
}


async def upload(call: Call) -> Answer:
    kind = _KINDS.get(call.query("type"))
    if kind is None:
        raise ApiError(40004)
    name, body = await _file(call)
    if len(body) > kind.most_bytes:
        raise ApiError(kind.too_big)
    mimes = [mime for at, start, mime in kind.starts if body[at : at + len(start)] == start]
    if not mimes:
        raise ApiError(40005)
    media = call.world.add_media(call.account.appid, call.query("type"), name, mimes[0], body)
    id_name = "thumb_media_id" if media.kind == "thumb" else "media_id"
    return {"type": media.kind, id_name: media.media_id, "created_at": int(media.made_at)}


async def _file(call: Call) -> tuple[str, bytes]:
    try:
        async with call.request.form(max_files=1) as form:
            file = form.get("media")
            if not isinstance(file, UploadFile):
                raise ApiError(41005)
            return file.filename or "file", await file.read()
    except MultiPartException as error:
        raise ApiError(41005, str(error)) from error


async def get(call: Call) -> Answer:
    media_id = call.query("media_id")
    if not media_id:
        raise ApiError(41006)
    media = call.world.find_media(call.account.appid, media_id)
    if media is None:
        raise ApiError(40007)
    if media.kind == "video":
        return {"video_url": f"{base_url(call.request)}media/{media.media_id}"}
    suffix = media.mime.rpartition("/")[2].replace("jpeg", "jpg").replace("mpeg", "mp3")
    disposition = f'attachment; filename="{media.media_id}.{suffix}"'
    return Response(media.body, media_type=media.mime, headers={"Content-Disposition": disposition})


ENDPOINTS = (
    Endpoint("media/upload", "POST", upload, "media"),
    Endpoint("media/get", "GET", get, "media"),
)
