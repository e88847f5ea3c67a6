"""Clients of the language model, by protocol: one attempt, a time limit, a limit of bytes, keys from the environment."""

from collections.abc import AsyncIterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from pipelines.brief_settings import Model
from pipelines.settings import secret

if TYPE_CHECKING:
    import httpx2
    from pydantic_ai.models import Model as Client

LOCAL: Final = ("127.0.0.1", "localhost", "::1")
LONGEST: Final = 500_000
"""Bytes of an answer that are read."""


class Unfit(Exception):
    """Why the model cannot be asked, or its answer not be used: in our own words, without key or account."""


def client(model: Model) -> "Client":
    """Return the client of the model that is set.

    Raises
    ------
    Unfit
        If none is set, its packages are not installed, or it lacks a key.
    """
    if model.protocol is None:
        raise Unfit("no model is set: briefs.model.protocol")
    if not all(map(find_spec, ("pydantic_ai", {"openai": "openai", "bedrock": "boto3"}[model.protocol]))):
        raise Unfit(f"its packages are not installed: pip install 'tapeflow[{model.protocol}]'")
    try:
        return _openai(model) if model.protocol == "openai" else _bedrock(model)
    except Unfit:
        raise
    except Exception as error:  # noqa: BLE001 - whatever its client does not like, the template writes
        raise Unfit(f"{model.protocol} does not take the settings of briefs.model ({type(error).__name__})") from None


def _openai(model: Model) -> "Client":
    from openai import AsyncOpenAI
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.profiles.openai import OpenAIModelProfile
    from pydantic_ai.providers.openai import OpenAIProvider
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

    key = secret("OPENAI_API_KEY")
    if key is None and model.url is None:
        raise Unfit("there is no key; set OPENAI_API_KEY in the environment or .env")
    asks = AsyncOpenAI(
        api_key=key or "none", base_url=model.url, max_retries=0, timeout=model.timeout_s, http_client=_http(model)
    )
    if model.url is None:
        return OpenAIChatModel(model.name, provider=OpenAIProvider(openai_client=asks))
    older = OpenAIModelProfile(
        openai_chat_supports_max_completion_tokens=False
    )  # the limit as all that speak the protocol know it
    return OpenAIChatModel(model.name, provider=OpenAICompatibleProvider("openai-compatible", openai_client=asks), profile=older)


def _http(model: Model) -> "httpx2.AsyncClient":
    import httpx2

    class Bounded(httpx2.AsyncByteStream):
        def __init__(self, stream: httpx2.AsyncByteStream) -> None:
            self._stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            seen = 0
            async for chunk in self._stream:
                seen += len(chunk)
                if seen > LONGEST:
                    raise Unfit(f"its answer is longer than {LONGEST:,} bytes")
                yield chunk

        async def aclose(self) -> None:
            await self._stream.aclose()

    async def bounded(response: httpx2.Response) -> None:
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = Bounded(response.stream)

    outside = model.url is None or urlsplit(model.url).hostname not in LOCAL
    return httpx2.AsyncClient(timeout=model.timeout_s, trust_env=outside, event_hooks={"response": [bounded]})


def _bedrock(model: Model) -> "Client":
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError
    from pydantic_ai.models.bedrock import BedrockConverseModel
    from pydantic_ai.providers.bedrock import BedrockProvider

    once = Config(read_timeout=model.timeout_s, connect_timeout=model.timeout_s, retries={"total_max_attempts": 1})
    try:
        asks = boto3.Session(region_name=secret("AWS_REGION")).client("bedrock-runtime", endpoint_url=model.url, config=once)
    except BotoCoreError:
        raise Unfit("AWS is not set up here; set AWS_REGION, and credentials as AWS has them") from None
    return BedrockConverseModel(model.name, provider=BedrockProvider(bedrock_client=asks))
