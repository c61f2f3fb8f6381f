"""BASE: a bot as one writes it with FastAPI and wechatpy in an afternoon. Stores nothing.

It knows beforehand what each text will be answered: no matching, one look into a dictionary.
"""

from fastapi import FastAPI, Request, Response
from wechatpy import create_reply, parse_message
from wechatpy.exceptions import InvalidSignatureException
from wechatpy.utils import check_signature

from tests.bench import shop

app = FastAPI(openapi_url=None)
ANSWERS = dict(shop.answers())


@app.post("/wechat/{slug}")
async def deliver(slug: str, request: Request) -> Response:
    query = request.query_params
    try:
        check_signature(shop.TOKEN, query["signature"], query["timestamp"], query["nonce"])
    except InvalidSignatureException:
        return Response(status_code=403)
    message = parse_message(await request.body())
    answer = ANSWERS.get(message.content) if message.type == "text" else None
    if answer is None:
        return Response("success", media_type="text/plain")
    return Response(create_reply(answer, message).render(), media_type="text/xml")
