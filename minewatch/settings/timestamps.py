"""``[timestamps]``: the time-stamping authority."""

from __future__ import annotations

import re
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from minewatch.core.url_policy import NetworkZone, find_zone
from minewatch.settings.tables import Table, check_address, check_variable

_POLICY = re.compile(r"([0-2](\.(0|[1-9]\d{0,30})){1,30})?", re.ASCII)
"""An object identifier in dots; '' = none."""


class TimestampsTable(Table):
    """``[timestamps]``: the authority (RFC 3161) that stamps evidence and logs with an independent time."""

    url: str
    """Its address, http or https; only hashes are sent there."""

    ca: str = Field(min_length=1)
    """File with its root certificate (PEM), or with several of them; relative to the workspace."""

    policy: str = ""
    """Object identifier of the policy that it must stamp under, such as 1.2.3.4.1; '' = its own choice."""

    user_variable: str = ""
    """Environment variable with the user name, where it asks for a login."""

    password_variable: str = ""
    """Environment variable with the password."""

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        parts = urlsplit(check_address(value))
        if parts.scheme not in ("http", "https") or not parts.hostname or not value.isprintable() or " " in value:
            raise ValueError("give an address that begins with https:// or http://")
        if find_zone(parts.hostname) is NetworkZone.FORBIDDEN:
            raise ValueError("give the address of an authority: this is a host that serves the network itself")
        return value

    @field_validator("ca")
    @classmethod
    def _check_ca(cls, value: str) -> str:
        if "-----" in value or "\n" in value:
            raise ValueError("give the path of the certificate's file, not the certificate")
        return value

    @field_validator("policy")
    @classmethod
    def _check_policy(cls, value: str) -> str:
        if not _POLICY.fullmatch(value):
            raise ValueError("give an object identifier, such as 1.2.3.4.1")
        return value

    @field_validator("user_variable", "password_variable")
    @classmethod
    def _check_variable(cls, value: str) -> str:
        return value and check_variable(value)

    @model_validator(mode="after")
    def _check_login(self) -> Self:
        if bool(self.user_variable) != bool(self.password_variable):
            raise ValueError("give both user_variable and password_variable, or none of them where it asks for no login")
        parts = urlsplit(self.url)
        if self.user_variable and parts.scheme != "https" and find_zone(parts.hostname or "") is not NetworkZone.HERE:
            raise ValueError("a login is sent over https only; give the https:// address of the authority")
        return self
