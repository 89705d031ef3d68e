"""What a webhook channel sends: the event as documented, or what its templates say."""

import hmac
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlencode

import httpx
import orjson
from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator

from service.channels import ChannelOptions, HttpAddress, Message
from service.diagnostics import refused
from service.domain.model import JSON_OPTIONS
from service.rules.language.request_templates import RequestTemplate, samples
from service.rules.language.response_conditions import ResponseCondition
from service.rules.language.templates import RenderError
from service.settings import keys

Json: TypeAlias = dict[str, Any]

_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"
_WITHOUT_BODY = frozenset({"GET", "DELETE"})
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OURS = frozenset(
    {"connection", "content-length", "host", "transfer-encoding"}
    | {"webhook-id", "webhook-signature", "webhook-timestamp"}
)
_TEMPLATE = re.compile(r"\{[{%]")
# Scheme and host, up to where the path or the query begins.
_PLACE = re.compile(r"https?://[^/?#{}]+[/?#]")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")


def _as_place(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    if found := _TEMPLATE.search(text):
        if not _PLACE.match(text[: found.start()]):
            raise ValueError("url: a template can stand in its path and its query, not in its host")
        template = RequestTemplate(text, "url")
        for values in samples():
            template.address(values)
    return url


class WebhookOptions(ChannelOptions):
    """`url` is where messages are posted; its path and its query may be templates.

    `secret` is `whsec_` with base64 behind it; without one nothing is signed. There may be two
    secrets, as a list, while one is being replaced: both sign. `method` is the HTTP method. `body`
    is a template of the JSON that is sent in place of the event. `form` is a template for each
    field of a form, which is sent in place of JSON. `headers` are sent as well, by their names;
    each is a template. `user` is the name for basic authentication, `password` the password for
    it. `success` is a condition over `status`, `headers` and `body` of the answer: only if it is
    true the message counts as sent.
    """

    url: Annotated[HttpAddress, AfterValidator(_as_place)]
    secret: SecretStr | tuple[SecretStr, ...] | None = None
    method: Literal["POST", "PUT", "PATCH", "GET", "DELETE"] = "POST"
    body: SecretStr | None = None
    form: Mapping[str, SecretStr] | None = None
    headers: Mapping[str, SecretStr] = {}
    user: str | None = None
    password: SecretStr | None = None
    success: str | None = None
    concurrency: int = Field(64, ge=1, le=1000)

    @field_validator("secret")
    @classmethod
    def _are_keys(
        cls, secret: SecretStr | tuple[SecretStr, ...] | None
    ) -> SecretStr | tuple[SecretStr, ...] | None:
        for key in _keys(secret):
            keys.demand_long("secret", key)
        return secret

    @field_validator("body")
    @classmethod
    def _is_json(cls, body: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if body is not None:
            _demand_body(info, "body")
            template = RequestTemplate(body.get_secret_value(), "body")
            for values in samples():
                _tried(template, values)
        return body

    @field_validator("form")
    @classmethod
    def _is_form(
        cls, form: Mapping[str, SecretStr] | None, info: ValidationInfo
    ) -> Mapping[str, SecretStr] | None:
        if form is not None:
            _demand_body(info, "form")
            if info.data.get("body") is not None:
                raise refused("body and form cannot be combined", "remove one of them")
            _templates(form)
        return form

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, headers: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
        for name in headers:
            if not _NAME.fullmatch(name):
                raise refused(f"headers: {name} cannot be the name of a header")
            if name.lower() in _OURS:
                raise refused(f"headers: {name} is set by Taskbell", "remove it")
        _templates(headers)
        return headers

    @field_validator("password")
    @classmethod
    def _belongs_to_user(cls, password: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if password is not None and info.data.get("user") is None:
            raise refused("password needs a user", "add user:")
        return password

    @field_validator("success")
    @classmethod
    def _is_condition(cls, success: str | None) -> str | None:
        if success is not None:
            ResponseCondition(success, "success")
        return success


class RequestBuilder:
    """Makes the request for each message from the options of a channel."""

    def __init__(self, options: WebhookOptions, client: httpx.AsyncClient) -> None:
        self._method = options.method
        address = options.url.get_secret_value()
        self._place = RequestTemplate(address, "url") if _TEMPLATE.search(address) else None
        self._url = httpx.URL(address)
        self._body = None if options.body is None else _template(options.body, "body")
        self._form = None if options.form is None else _templates(options.form)
        self._headers = _templates(options.headers)
        self._given = _authorization(options)
        self._extensions = {"timeout": client.timeout.as_dict()}
        found = _keys(options.secret)
        self._signers = [hmac.new(key, digestmod="sha256") for key in found]

    def request(self, message: Message, now: datetime) -> httpx.Request:
        """The request for a message, signed; raises RenderError if a template does not fit it."""
        # Not by the client's build_request: merging parameters, cookies and headers that are
        # not there is a seventh of the whole cost of sending.
        values = self._values(message)
        body, kind = self._content(message, values)
        headers = {**kind, **self._signed(message.key, body, now), **self._given}
        for name, template in self._headers.items():
            headers[name.lower()] = _header(template.plain(values))
        url = self._url if self._place is None else httpx.URL(self._place.address(values))
        request = httpx.Request(
            self._method, url, content=body, headers=headers, extensions=self._extensions
        )
        request.headers.encoding = "ascii"  # httpx finds it out for each request
        return request

    def _values(self, message: Message) -> Json:
        """What templates can use, as plain JSON; nothing if there are none."""
        if not (self._place or self._body or self._form or self._headers):
            return {}
        given = {
            "text": message.text,
            "subject": message.subject,
            "target": message.target,
            "key": message.key,
            "type": message.type,
            "timestamp": message.at,
            "rule": message.rule,
            "channel": message.channel,
            "account": message.account,
            "event": message.event,
            "task": message.task,
            "before": message.before,
        }
        values: Json = orjson.loads(orjson.dumps(given, option=JSON_OPTIONS))
        return values

    def _content(self, message: Message, values: Json) -> tuple[bytes, dict[str, str]]:
        if self._body is not None:
            return self._body.json(values), {"content-type": _JSON}
        if self._form is not None:
            fields = {name: one.plain(values) for name, one in self._form.items()}
            return urlencode(fields).encode(), {"content-type": _FORM}
        if self._method in _WITHOUT_BODY:
            return b"", {}
        return _event(message), {"content-type": _JSON}

    def _signed(self, key: str, body: bytes, now: datetime) -> dict[str, str]:
        """The headers of Standard Webhooks; while a secret is replaced there are two signatures."""
        timestamp = str(int(now.timestamp()))
        headers = {"user-agent": "taskbell", "webhook-id": key, "webhook-timestamp": timestamp}
        signed = f"{key}.{timestamp}.".encode() + body
        if self._signers:
            headers["webhook-signature"] = " ".join(_signatures(self._signers, signed))
        return headers


def _event(message: Message) -> bytes:
    content: dict[str, Any] = {
        "type": message.type,
        "timestamp": message.at,
        "data": {
            "event": message.event,
            "task": message.task,
            "before": message.before,
            "rule": message.rule,
            "text": message.text,
            **({"answer_at": message.buttons[0].url} if message.buttons else {}),
        },
    }
    return orjson.dumps(content, option=JSON_OPTIONS)


def _signatures(signers: list[hmac.HMAC], signed: bytes) -> Iterator[str]:
    for one in signers:
        signer = one.copy()
        signer.update(signed)
        yield "v1," + b64encode(signer.digest()).decode()


def _keys(secret: SecretStr | tuple[SecretStr, ...] | None) -> list[bytes]:
    """The keys themselves. A secret without the prefix is not used as it is, as in no library."""
    given = secret if isinstance(secret, tuple) else () if secret is None else (secret,)
    texts = [one.get_secret_value() for one in given]
    if not all(text.startswith(keys.PREFIX) for text in texts):
        raise keys.not_standard()
    return [keys.standard_key(text) for text in texts]


def _authorization(options: WebhookOptions) -> dict[str, str]:
    if options.user is None:
        return {}
    password = options.password.get_secret_value() if options.password else ""
    login = b64encode(f"{options.user}:{password}".encode()).decode()
    return {"authorization": f"Basic {login}"}


def _demand_body(info: ValidationInfo, what: str) -> None:
    method = info.data.get("method")
    if method in _WITHOUT_BODY:
        raise refused(f"method: {method} sends no {what}", "write method: POST, PUT or PATCH")


def _tried(template: RequestTemplate, values: Json) -> None:
    try:
        template.json(values)
    except RenderError as error:
        about = "" if values["task"] else " for a message without a task"
        raise refused(f"{error}{about}") from None


def _templates(given: Mapping[str, SecretStr]) -> dict[str, RequestTemplate]:
    return {name: _template(text, name) for name, text in given.items()}


def _template(text: SecretStr, what: str) -> RequestTemplate:
    return RequestTemplate(text.get_secret_value(), what)


def _header(text: str) -> str:
    """A text as a header can have it: on one line, and in ASCII."""
    return _CONTROLS.sub(" ", text).strip().encode("ascii", "replace").decode()
