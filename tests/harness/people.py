"""The people of a firm who sign in at the page, with passwords that are quickly checked."""

import httpx
from argon2 import PasswordHasher

from service.domain.actors import Role
from tests.harness.site import Site

PASSWORDS = {"anna": "correct horse anna", "Bo": "correct horse bo", "cy": "correct horse cy"}
ROLES = {"anna": Role.OPERATOR, "Bo": Role.VIEWER, "cy": Role.ADMIN}
_QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def users(roles: dict[str, Role] | None = None, **passwords: str) -> str:
    """The lines of a configuration with these people; other passwords if given."""
    lines = [
        f'  {name}: {{ role: {role}, password: "{_QUICK.hash((PASSWORDS | passwords)[name])}" }}\n'
        for name, role in (ROLES if roles is None else roles).items()
    ]
    return "users:\n" + "".join(lines)


async def sign_in(
    web: Site, name: str, password: str | None = None, address: str = "192.0.2.1"
) -> httpx.Response:
    """Fill in the form; `address` is what a proxy on this machine says of who asks."""
    given = PASSWORDS.get(name, "") if password is None else password
    return await web.client.post(
        "/login",
        data={"name": name, "password": given},
        headers={"x-forwarded-for": address},
    )
